"""What aggregate reports add up to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dmarc_flow_counts",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("flow_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_dmarc_flow_counts_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "domain_id", "span", "start", "flow_id", name=op.f("pk_dmarc_flow_counts")
        ),
    )
    with op.batch_alter_table("dmarc_flow_counts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dmarc_flow_counts_flow_id_dmarc_flow_counts_start"),
            ["flow_id", "start"],
            unique=False,
        )

    op.create_table(
        "dmarc_flows",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column(
            "identity_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("source_ip", sa.String(length=45), nullable=False),
        sa.Column("first_hour", sa.Integer(), nullable=False),
        sa.Column("last_hour", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domains.id"], name=op.f("fk_dmarc_flows_domain_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dmarc_flows")),
        sa.UniqueConstraint(
            "domain_id",
            "source_ip",
            "identity_id",
            name=op.f("uq_dmarc_flows_domain_id_source_ip_identity_id"),
        ),
    )
    op.create_table(
        "dmarc_hours",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("reporter", sa.String(length=253), nullable=False),
        sa.Column("header_from", sa.String(length=253), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("dkim", sa.Boolean(), nullable=False),
        sa.Column("spf", sa.Boolean(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domains.id"], name=op.f("fk_dmarc_hours_domain_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "domain_id",
            "hour",
            "reporter",
            "header_from",
            "disposition",
            "dkim",
            "spf",
            "trusted",
            name=op.f("pk_dmarc_hours"),
        ),
    )
    op.create_table(
        "dmarc_identities",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("header_from", sa.String(length=253), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("dkim", sa.Boolean(), nullable=False),
        sa.Column("spf", sa.Boolean(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("envelope_from", sa.String(length=320), nullable=True),
        sa.Column("dkim_results", sa.JSON(), nullable=False),
        sa.Column("spf_results", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_dmarc_identities_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dmarc_identities")),
        sa.UniqueConstraint(
            "domain_id", "digest", name=op.f("uq_dmarc_identities_domain_id_digest")
        ),
    )
    op.create_table(
        "dmarc_reporter_counts",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("reporter", sa.String(length=253), nullable=False),
        sa.Column(
            "identity_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_dmarc_reporter_counts_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "domain_id",
            "span",
            "start",
            "reporter",
            "identity_id",
            name=op.f("pk_dmarc_reporter_counts"),
        ),
    )


def downgrade() -> None:
    op.drop_table("dmarc_reporter_counts")
    op.drop_table("dmarc_identities")
    op.drop_table("dmarc_hours")
    op.drop_table("dmarc_flows")
    with op.batch_alter_table("dmarc_flow_counts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dmarc_flow_counts_flow_id_dmarc_flow_counts_start"))

    op.drop_table("dmarc_flow_counts")
