"""Mail hosts that are connected to once a day, and what they said of TLS."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_hosts",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mail_hosts")),
    )
    op.create_index(op.f("ix_mail_hosts_next_at"), "mail_hosts", ["next_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_mail_hosts_next_at"), table_name="mail_hosts")
    op.drop_table("mail_hosts")
