"""Let email channels send a weekly summary, and let emails have HTML.

Revision ID: 0055
Revises: 0054
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0055", "0054"


def upgrade() -> None:
    op.create_table(
        "weekly_summaries",
        sa.Column("channel_id", sa.Uuid(), primary_key=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_weekly_summaries_next_at", "weekly_summaries", ["next_at"])
    op.create_index("ix_weekly_summaries_account_id", "weekly_summaries", ["account_id"])
    op.add_column("emails", sa.Column("extras", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("emails") as batch:
        batch.drop_column("extras")
    op.drop_table("weekly_summaries")
