"""Reports that are still to be counted: they are counted soon after they are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uncounted_reports",
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("is_set_aside", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["dmarc_reports.id"],
            name=op.f("fk_uncounted_reports_report_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_uncounted_reports")),
    )
    op.create_index(
        op.f("ix_uncounted_reports_domain_id"), "uncounted_reports", ["domain_id"], unique=False
    )


def downgrade() -> None:
    """The version before takes all reports to be counted."""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM uncounted_reports")):
        raise RuntimeError(
            "There are reports that are not counted yet: stop what takes in reports, leave a "
            "worker running for a minute, and try again"
        )
    op.drop_index(op.f("ix_uncounted_reports_domain_id"), table_name="uncounted_reports")
    op.drop_table("uncounted_reports")
