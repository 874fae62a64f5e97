"""Causes: alerts of one scan that have one cause share an id, and root causes explain changes.

Every alert that exists is its own cause.

Revision ID: 0037
Revises: 0036
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0037", "0036"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("cause_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE alerts SET cause_id = id")
    op.create_index(op.f("ix_alerts_cause_id"), "alerts", ["cause_id"])
    op.add_column("dns_changes", sa.Column("root_appeared", sa.String(32), nullable=True))
    op.add_column("dns_changes", sa.Column("root_resolved", sa.String(32), nullable=True))


def downgrade() -> None:
    op.drop_column("dns_changes", "root_resolved")
    op.drop_column("dns_changes", "root_appeared")
    op.drop_index(op.f("ix_alerts_cause_id"), "alerts")
    op.drop_column("alerts", "cause_id")
