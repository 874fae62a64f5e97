"""Store the results of forms for the page that follows, such as a new API key.

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0044", "0043"


def upgrade() -> None:
    op.create_table(
        "form_results",
        sa.Column("session_id", sa.LargeBinary(32), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("text_encrypted", sa.Text()),
        sa.Column("shown_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_form_results_expires_at", "form_results", ["expires_at"])


def downgrade() -> None:
    op.drop_table("form_results")
