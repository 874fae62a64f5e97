"""Index alerts in the order of the list in the dashboard, so that a page does not sort all of them.

Revision ID: 0060
Revises: 0059
"""

import sqlalchemy as sa

from migrations import large_indexes

revision, down_revision = "0060", "0059"

RANK = (
    "CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2"
    " WHEN 'low' THEN 3 ELSE 4 END"
)


def upgrade() -> None:
    columns = ["account_id", "status", sa.text(f"({RANK})"), sa.text("id DESC")]
    large_indexes.create("ix_alerts_by_severity", "alerts", columns)


def downgrade() -> None:
    large_indexes.drop("ix_alerts_by_severity", "alerts")
