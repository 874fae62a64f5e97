"""Budgets of ingest: CPU time and strangers' files of a day, and what one source sent."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (
        ("stranger_files", sa.Integer()),
        ("stranger_bytes", sa.BigInteger()),
        ("cpu_ms", sa.BigInteger()),
    ):
        op.add_column("report_days", sa.Column(name, kind, nullable=False, server_default="0"))
    op.create_table(
        "ingest_sources",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(length=253), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_ingest_sources_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "source", name=op.f("pk_ingest_sources")),
    )
    op.create_index(op.f("ix_ingest_sources_day"), "ingest_sources", ["day"], unique=False)


def downgrade() -> None:
    op.drop_table("ingest_sources")
    for name in ("cpu_ms", "stranger_bytes", "stranger_files"):
        op.drop_column("report_days", name)
