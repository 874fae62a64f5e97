"""Store what was entered into forms whose session had ended.

Revision ID: 0048
Revises: 0047
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0048", "0047"


def upgrade() -> None:
    op.create_table(
        "form_drafts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("text_encrypted", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_form_drafts_user_id", "form_drafts", ["user_id"])
    op.create_index("ix_form_drafts_expires_at", "form_drafts", ["expires_at"])


def downgrade() -> None:
    op.drop_table("form_drafts")
