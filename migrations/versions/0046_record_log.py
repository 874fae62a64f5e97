"""Log what is stored, in the order in which exports read it, beginning with existing rows.

Revision ID: 0046
Revises: 0045
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0046", "0045"

TIME = sa.DateTime(timezone=True)
# The existing rows by kind: table, size (estimated for TLS reports and scans), time, domain, and
# condition.
EXISTING = (
    ("dmarc", "dmarc_reports", "record_count", "received_at", "domain_id", "1 = 1"),
    ("tls", "tls_reports", "5", "received_at", "domain_id", "1 = 1"),
    ("failure", "failure_reports", "1", "received_at", "domain_id", "1 = 1"),
    ("scan", "scans", "20", "finished_at", "domain_id", "status = 'completed'"),
    ("alert", "events", "1", "at", "NULL", "alert_id IS NOT NULL"),
)


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column(
        "accounts",
        sa.Column("last_record_sequence", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.create_table(
        "record_log",
        sa.Column("number", number, primary_key=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid()),
        sa.Column("sequence", sa.BigInteger()),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
        sa.UniqueConstraint("account_id", "sequence"),
    )
    for kind, table, size, at, domain_id, condition in EXISTING:
        domain = domain_id if domain_id != "NULL" else "CAST(NULL AS CHAR(32))"
        if domain_id == "NULL" and op.get_bind().dialect.name == "postgresql":
            domain = "CAST(NULL AS UUID)"
        op.execute(
            "INSERT INTO record_log (account_id, domain_id, kind, row_id, size, at) "
            f"SELECT account_id, {domain}, '{kind}', id, {size}, {at} FROM {table} "
            f"WHERE {condition} ORDER BY id"
        )
    is_unnumbered = sa.text("sequence IS NULL")
    op.create_index(
        "ix_record_log_unnumbered",
        "record_log",
        ["account_id", "number"],
        sqlite_where=is_unnumbered,
        postgresql_where=is_unnumbered,
    )
    op.create_index("ix_record_log_domain_id", "record_log", ["domain_id"])
    op.create_index("ix_record_log_at", "record_log", ["at"])


def downgrade() -> None:
    op.drop_table("record_log")
    with op.batch_alter_table("accounts") as batch:
        batch.drop_column("last_record_sequence")
