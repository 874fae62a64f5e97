"""Let a user hide the first steps on the overview.

Revision ID: 0052
Revises: 0051
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0052", "0051"


def upgrade() -> None:
    column = sa.Column("hides_first_steps", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("users", column)


def downgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.drop_column("hides_first_steps")
