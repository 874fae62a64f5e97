"""What a file of reports is about, one row for each report of it, and selectors seen in reports."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seen_selectors",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("selector", sa.String(length=190), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            name=op.f("fk_seen_selectors_account_id_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain_id", "name", "selector", name=op.f("pk_seen_selectors")),
    )
    op.add_column("intakes", sa.Column("about", sa.String(length=253), nullable=True))
    op.drop_index(op.f("ix_intakes_account_id_intakes_sha256"), table_name="intakes")
    op.create_index("uq_intakes_file", "intakes", ["account_id", "sha256", "member"], unique=True)
    op.create_index(op.f("ix_intakes_received_at"), "intakes", ["received_at"], unique=False)
    op.create_index(op.f("ix_intakes_report_id"), "intakes", ["report_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_intakes_report_id"), table_name="intakes")
    op.drop_index(op.f("ix_intakes_received_at"), table_name="intakes")
    op.drop_index("uq_intakes_file", table_name="intakes")
    op.create_index(
        op.f("ix_intakes_account_id_intakes_sha256"), "intakes", ["account_id", "sha256"]
    )
    op.drop_column("intakes", "about")
    op.drop_table("seen_selectors")
