"""Options and details of mailboxes: STARTTLS, certificate authorities, pauses and skipped mails.

The mailboxes that exist were added by operators, so their servers may have private addresses.

Revision ID: 0042
Revises: 0041
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import column, update

revision, down_revision = "0042", "0041"

MAILBOXES = sa.table("report_mailboxes", column("is_private", sa.Boolean))
NULLABLE = (
    ("ca_certificates", sa.String(20_000)),
    ("succeeded_at", sa.DateTime(timezone=True)),
    ("paused_at", sa.DateTime(timezone=True)),
    ("read_count", sa.Integer()),
    ("skipped", sa.JSON()),
)
FLAGS = ("is_private", "only_unread")


def upgrade() -> None:
    op.add_column(
        "report_mailboxes",
        sa.Column("security", sa.String(10), nullable=False, server_default="tls"),
    )
    for name in FLAGS:
        flag = sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        op.add_column("report_mailboxes", flag)
    for name, type in NULLABLE:
        op.add_column("report_mailboxes", sa.Column(name, type, nullable=True))
    op.execute(update(MAILBOXES).values(is_private=True))


def downgrade() -> None:
    with op.batch_alter_table("report_mailboxes") as batch:
        for name in ("security", *FLAGS, *(name for name, _ in NULLABLE)):
            batch.drop_column(name)
