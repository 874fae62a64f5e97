"""Add the figures that the list of domains is sorted by, and saved views.

The next scan of each domain fills in its policy and the change of its score. The clock process
counts the messages.

Revision ID: 0049
Revises: 0048
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0049", "0048"

ACTIVE = sa.text("status IN ('open', 'acknowledged')")


def upgrade() -> None:
    op.add_column("domains", sa.Column("score_change", sa.Integer()))
    op.add_column("domains", sa.Column("dmarc_policy", sa.String(16)))
    op.create_table(
        "domain_mail",
        sa.Column("domain_id", sa.Uuid(), primary_key=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_domain_mail_computed_at", "domain_mail", ["computed_at"])
    op.create_index(
        "ix_alerts_active",
        "alerts",
        ["account_id", "domain_id", "severity"],
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("page", sa.String(16), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("user_id", "page", "name"),
    )


def downgrade() -> None:
    op.drop_table("saved_views")
    op.drop_index("ix_alerts_active", "alerts")
    op.drop_table("domain_mail")
    with op.batch_alter_table("domains") as batch:
        batch.drop_column("dmarc_policy")
        batch.drop_column("score_change")
