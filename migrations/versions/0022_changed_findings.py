"""The findings that came and went with a change in DNS."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

COLUMNS = ("opened", "closed")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("dns_changes", sa.Column(name, sa.JSON()))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("dns_changes", name)
