"""The DKIM keys of each domain, to find those that several of an account have."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dkim_keys",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            name=op.f("fk_dkim_keys_account_id_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain_id", "key_sha256", name=op.f("pk_dkim_keys")),
    )
    op.create_index(
        op.f("ix_dkim_keys_account_id_dkim_keys_key_sha256"),
        "dkim_keys",
        ["account_id", "key_sha256"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_dkim_keys_account_id_dkim_keys_key_sha256"), table_name="dkim_keys")
    op.drop_table("dkim_keys")
