"""Drop what nothing uses: the report of an alert, and the list of channel types.

No alert ever had a report, and the registry of channel types decides which types exist.

Revision ID: 0036
Revises: 0035
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0036", "0035"


def upgrade() -> None:
    op.drop_column("alerts", "report_id")
    with op.batch_alter_table("channels") as batch:
        batch.drop_constraint(op.f("ck_channels_kind"), type_="check")


def downgrade() -> None:
    with op.batch_alter_table("channels") as batch:
        kinds = "kind IN ('webhook', 'email', 'chat')"
        batch.create_check_constraint(op.f("ck_channels_kind"), kinds)
    op.add_column("alerts", sa.Column("report_id", sa.Uuid(), nullable=True))
