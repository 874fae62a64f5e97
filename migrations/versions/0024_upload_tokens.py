"""Secret upload tokens, the server that a mailbox is behind, and decisions about conflicts.

The existing ingest tokens become public report addresses: what arrives there is no longer trusted
by itself. Reports that were counted before stay as they were counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_id", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_by", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_upload_tokens_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_tokens")),
        sa.UniqueConstraint("token_id", name=op.f("uq_upload_tokens_token_id")),
    )
    op.create_index(
        op.f("ix_upload_tokens_account_id_upload_tokens_id"),
        "upload_tokens",
        ["account_id", "id"],
        unique=False,
    )
    op.add_column("report_mailboxes", sa.Column("authserv_id", sa.String(253)))
    op.add_column(
        "intakes",
        sa.Column("is_preferred", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    op.drop_column("intakes", "is_preferred")
    op.drop_column("report_mailboxes", "authserv_id")
    op.drop_table("upload_tokens")
