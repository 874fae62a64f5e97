"""Which weeks of reports are added up: so far all were, from now on those that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

WEEK = 168
COUNTED = ("dmarc_flows", "dmarc_flow_counts", "dmarc_reporter_counts", "dmarc_hours")


def upgrade() -> None:
    op.create_table(
        "dmarc_weeks",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_closed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("changes", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_dmarc_weeks_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain_id", "start", name=op.f("pk_dmarc_weeks")),
    )
    op.create_index(
        "ix_dmarc_weeks_open",
        "dmarc_weeks",
        ["start"],
        unique=False,
        sqlite_where=sa.text("NOT is_closed"),
        postgresql_where=sa.text("NOT is_closed"),
    )
    op.execute(
        "INSERT INTO dmarc_weeks (domain_id, start, is_closed)"
        f" SELECT DISTINCT domain_id, start, true FROM dmarc_flow_counts WHERE span = {WEEK}"
    )
    if op.get_bind().dialect.name == "postgresql":
        # A count that grows stays in its page, so that no index has to be told.
        for table in COUNTED:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 85)")


def downgrade() -> None:
    """Open weeks have no sums, which the version before expects: they are made first."""
    week = f"start / {WEEK} * {WEEK}"
    is_open = (
        "span = 1 AND EXISTS (SELECT 1 FROM dmarc_weeks w WHERE NOT w.is_closed"
        f" AND w.domain_id = c.domain_id AND w.start = c.{week})"
    )
    for table, keys in (
        ("dmarc_flow_counts", "flow_id"),
        ("dmarc_reporter_counts", "reporter, identity_id"),
    ):
        op.execute(
            f"INSERT INTO {table} (domain_id, span, start, {keys}, messages)"
            f" SELECT domain_id, {WEEK}, {week}, {keys}, sum(messages) FROM {table} c"
            f" WHERE {is_open} GROUP BY domain_id, {week}, {keys}"
        )
    if op.get_bind().dialect.name == "postgresql":
        for table in COUNTED:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.drop_index("ix_dmarc_weeks_open", table_name="dmarc_weeks")
    op.drop_table("dmarc_weeks")
