"""Disabled users, accounts to be deleted, legal holds, and what scans changed."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TIMES = {
    "users": ("disabled_at",),
    "accounts": ("deletion_requested_at",),
    "domains": ("legal_hold_at",),
}
INDEXES = (("events", "alert_id"), ("deliveries", "event_number"))


def upgrade() -> None:
    for table, names in TIMES.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column("domains", sa.Column("legal_hold_reason", sa.String(length=300)))
    op.add_column("scans", sa.Column("has_changes", sa.Boolean()))
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    is_requested = sa.text("trigger <> 'schedule'")
    op.create_index(
        "ix_scans_requested",
        "scans",
        ["account_id", "requested_by"],
        sqlite_where=is_requested,
        postgresql_where=is_requested,
    )


def downgrade() -> None:
    op.drop_index("ix_scans_requested", table_name="scans")
    for table, column in INDEXES:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    op.drop_column("scans", "has_changes")
    op.drop_column("domains", "legal_hold_reason")
    for table, names in TIMES.items():
        for name in names:
            op.drop_column(table, name)
