"""Let a user choose the time zone in which pages show times.

Revision ID: 0053
Revises: 0052
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0053", "0052"


def upgrade() -> None:
    op.add_column("users", sa.Column("time_zone", sa.String(64)))


def downgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.drop_column("time_zone")
