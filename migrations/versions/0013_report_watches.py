"""When alerts on reports are judged, and which flows are new."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_watches",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_report_watches_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain_id", name=op.f("pk_report_watches")),
    )
    with op.batch_alter_table("report_watches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_watches_due_at"), ["due_at"], unique=False)

    op.add_column(
        "dmarc_flows", sa.Column("is_new", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    op.create_index(
        "ix_dmarc_flows_new",
        "dmarc_flows",
        ["id"],
        unique=False,
        sqlite_where=sa.text("is_new"),
        postgresql_where=sa.text("is_new"),
    )


def downgrade() -> None:
    op.drop_index("ix_dmarc_flows_new", table_name="dmarc_flows")
    op.drop_column("dmarc_flows", "is_new")

    with op.batch_alter_table("report_watches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_report_watches_due_at"))

    op.drop_table("report_watches")
