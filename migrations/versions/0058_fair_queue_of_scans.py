"""Store the order in which queued scans are claimed.

Queued scans get the order of their ids within each account, and accounts alternate.

Revision ID: 0058
Revises: 0057
"""

import sqlalchemy as sa
from alembic import op

from migrations import large_indexes

revision, down_revision = "0058", "0057"

# Scans of batches and schedules come after those that were requested individually.
IS_INDIVIDUAL = (
    "trigger <> 'schedule' AND NOT EXISTS (SELECT 1 FROM batch_scans WHERE scan_id = scans.id)"
)
ORDER = """
UPDATE scans SET virtual_start = positions.position FROM (
    SELECT id, row_number() OVER (PARTITION BY is_bulk, account_id ORDER BY id) AS position
    FROM scans WHERE status = 'queued'
) AS positions WHERE scans.id = positions.id
"""
LAST = """
INSERT INTO queue_accounts (account_id, queue, last)
SELECT account_id, CASE WHEN is_bulk THEN 'scans.bulk' ELSE 'scans' END, max(virtual_start)
FROM scans WHERE status = 'queued' GROUP BY account_id, is_bulk
"""


def upgrade() -> None:
    op.create_table(
        "queue_accounts",
        sa.Column("account_id", sa.Uuid(), primary_key=True),
        sa.Column("queue", sa.String(16), primary_key=True),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_queue_accounts_last", "queue_accounts", ["queue", "last"])
    op.add_column(
        "scans", sa.Column("is_bulk", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    virtual_start = sa.Column("virtual_start", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("scans", virtual_start)
    op.execute(f"UPDATE scans SET is_bulk = false WHERE status = 'queued' AND {IS_INDIVIDUAL}")
    op.execute(ORDER)
    op.execute(LAST)
    large_indexes.create(
        "ix_scans_queue", "scans", ["is_bulk", "virtual_start", "id"], "status = 'queued'"
    )
    large_indexes.create("ix_scans_queued", "scans", ["enqueued_at"], "status = 'queued'")
    large_indexes.create(
        "ix_scans_running", "scans", ["account_id", "is_bulk"], "status = 'running'"
    )
    op.drop_index("ix_scans_unfinished_status", "scans")


def downgrade() -> None:
    where = sa.text("status IN ('queued', 'running')")
    op.create_index(
        "ix_scans_unfinished_status",
        "scans",
        ["status", "enqueued_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
    for name in ("queue", "queued", "running"):
        large_indexes.drop(f"ix_scans_{name}", "scans")
    with op.batch_alter_table("scans") as batch:
        batch.drop_column("virtual_start")
        batch.drop_column("is_bulk")
    op.drop_table("queue_accounts")
