"""Assign alerts to users, and count alerts by status.

Revision ID: 0050
Revises: 0049
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0050", "0049"

INDEX = "ix_alerts_account_id_alerts_status_alerts_id"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("assignee", sa.String(254)))
    op.create_index(INDEX, "alerts", ["account_id", "status", "id"])


def downgrade() -> None:
    op.drop_index(INDEX, "alerts")
    with op.batch_alter_table("alerts") as batch:
        batch.drop_column("assignee")
