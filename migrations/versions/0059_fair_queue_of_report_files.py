"""Store the order in which queued report files are claimed.

Queued files keep their order within each account, and accounts alternate.

Revision ID: 0059
Revises: 0058
"""

import sqlalchemy as sa
from alembic import op

from migrations import large_indexes

revision, down_revision = "0059", "0058"

IS_QUEUED = "status = 'received' AND lease_until IS NULL AND attempt = 0"
ORDER = f"""
UPDATE report_files SET virtual_start = positions.position FROM (
    SELECT id, row_number() OVER (PARTITION BY account_id ORDER BY enqueued_at, id) AS position
    FROM report_files WHERE {IS_QUEUED}
) AS positions WHERE report_files.id = positions.id
"""
LAST = f"""
INSERT INTO queue_accounts (account_id, queue, last)
SELECT account_id, 'report_files', max(virtual_start)
FROM report_files WHERE {IS_QUEUED} GROUP BY account_id
"""


def upgrade() -> None:
    column = sa.Column("virtual_start", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("report_files", column)
    op.execute(ORDER)
    op.execute(LAST)
    large_indexes.create(
        "ix_report_files_queue", "report_files", ["virtual_start", "id"], IS_QUEUED
    )
    op.drop_index("ix_report_files_turns", "report_files")


def downgrade() -> None:
    columns = ["account_id", "enqueued_at", "id"]
    where = sa.text("status = 'received'")
    op.create_index(
        "ix_report_files_turns", "report_files", columns, sqlite_where=where, postgresql_where=where
    )
    large_indexes.drop("ix_report_files_queue", "report_files")
    op.execute("DELETE FROM queue_accounts WHERE queue = 'report_files'")
    with op.batch_alter_table("report_files") as batch:
        batch.drop_column("virtual_start")
