"""Add the results of compliance profiles to domains, and the followed profiles to accounts.

The next scan of each domain fills in its results.

Revision ID: 0038
Revises: 0037
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0038", "0037"


def upgrade() -> None:
    for table, name in (("domains", "profile_results"), ("accounts", "followed_profiles")):
        op.add_column(table, sa.Column(name, sa.Text(), server_default=",", nullable=False))


def downgrade() -> None:
    for table, name in (("domains", "profile_results"), ("accounts", "followed_profiles")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(name)
