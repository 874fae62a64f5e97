"""Store what emails with report files say about their sender.

Files that were processed before have no values until they are processed again.

Revision ID: 0043
Revises: 0042
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0043", "0042"

COLUMNS = ("envelope_from", "header_from", "subject", "attachment_name")


def upgrade() -> None:
    """Add the columns."""
    for name in COLUMNS:
        op.add_column("report_files", sa.Column(name, sa.String(320), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("report_files") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
