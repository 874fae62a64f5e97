"""Mailboxes that reports are pulled from."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_mailboxes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=320), nullable=False),
        sa.Column("password", sa.String(length=2000), nullable=False),
        sa.Column("folder", sa.String(length=200), nullable=False),
        sa.Column("done_folder", sa.String(length=200), nullable=True),
        sa.Column("created_by", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pulled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.String(length=300), nullable=True),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("too_large", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_report_mailboxes_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_mailboxes")),
        sa.UniqueConstraint(
            *("account_id", "host", "username", "folder"),
            name=op.f("uq_report_mailboxes_account_id_host_username_folder"),
        ),
    )
    op.create_index(
        op.f("ix_report_mailboxes_next_at"), "report_mailboxes", ["next_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_report_mailboxes_next_at"), table_name="report_mailboxes")
    op.drop_table("report_mailboxes")
