"""Index pending deliveries in their order, so that an attempt does not sort those of its channel.

Revision ID: 0061
Revises: 0060
"""

import sqlalchemy as sa

from migrations import large_indexes

revision, down_revision = "0061", "0060"


def upgrade() -> None:
    columns = ["channel_id", sa.text("(alert_id IS NOT NULL)"), "event_number"]
    large_indexes.create("ix_deliveries_in_order", "deliveries", columns, "status = 'pending'")


def downgrade() -> None:
    large_indexes.drop("ix_deliveries_in_order", "deliveries")
