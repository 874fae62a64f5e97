"""Add sinks that records are forwarded to.

Revision ID: 0047
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0047", "0046"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "record_sinks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secret_encrypted", sa.Text()),
        sa.Column("record_kinds", sa.JSON(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(500)),
        sa.Column("failing_since", TIME),
        sa.Column("next_at", TIME, nullable=False),
        sa.Column("succeeded_at", TIME),
        sa.Column("paused_at", TIME),
        sa.Column("forwarded_count", sa.BigInteger(), nullable=False),
        sa.Column("skipped_count", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.JSON()),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_until", TIME),
        sa.Column("lease_holder", sa.String(120)),
        sa.Column("created_by", sa.String(300), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("account_id", "name"),
    )


def downgrade() -> None:
    op.drop_table("record_sinks")
