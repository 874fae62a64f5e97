"""Store what could not be read in aggregate and TLS reports.

The reports that were stored before are complete: a report with an unreadable record was rejected.

Revision ID: 0041
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0041", "0040"

COLUMNS = {
    "dmarc_reports": ("skipped_messages",),
    "tls_reports": ("skipped_sessions", "skipped_failed_sessions"),
}
INDEXES = {"partial": ("account_id", "domain_id", "begin_at"), "partial_received": ("received_at",)}


def upgrade() -> None:
    """Add the columns, and indexes that have only partial reports."""
    is_partial = sa.text("skipped_count > 0")
    for table, names in COLUMNS.items():
        op.add_column(
            table, sa.Column("skipped_count", sa.Integer(), server_default="0", nullable=False)
        )
        for name in names:
            op.add_column(
                table, sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            )
        op.add_column(
            table, sa.Column("skipped_reasons", sa.JSON(), server_default="{}", nullable=False)
        )
        for name, columns in INDEXES.items():
            op.create_index(
                f"ix_{table}_{name}",
                table,
                columns,
                sqlite_where=is_partial,
                postgresql_where=is_partial,
            )


def downgrade() -> None:
    """Remove the columns and their indexes."""
    for table, names in COLUMNS.items():
        for name in INDEXES:
            op.drop_index(f"ix_{table}_{name}", table_name=table)
        for column in ("skipped_reasons", *names, "skipped_count"):
            op.drop_column(table, column)
