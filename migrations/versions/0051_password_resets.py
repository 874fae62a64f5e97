"""Store requests for a new password, and the digests of the links that are sent.

Revision ID: 0051
Revises: 0050
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0051", "0050"


def upgrade() -> None:
    op.create_table(
        "password_resets",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("email", sa.String(254)),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("address", sa.String(45)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_password_resets_digest", "password_resets", ["digest"], unique=True)
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"])
    op.create_index("ix_password_resets_expires_at", "password_resets", ["expires_at"])


def downgrade() -> None:
    op.drop_table("password_resets")
