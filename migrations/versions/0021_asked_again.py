"""When a file was asked to be read again: since then it waits."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("intakes", sa.Column("asked_again_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("intakes", "asked_again_at")
