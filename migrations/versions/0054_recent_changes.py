"""Prepare the overview: the email of each day, changed verdicts, and indexes of what has changed.

The figures of all domains become outdated, so that the clock process counts their days.

Revision ID: 0054
Revises: 0053
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0054", "0053"


def upgrade() -> None:
    op.create_table(
        "domain_mail_days",
        sa.Column("domain_id", sa.Uuid(), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
    )
    columns = ["account_id", "day", "messages", "passed"]
    op.create_index("ix_domain_mail_days_account", "domain_mail_days", columns)
    op.execute("UPDATE domain_mail SET version = -1")
    op.add_column("scans", sa.Column("verdict_changes", sa.JSON()))
    op.create_index(
        "ix_scans_verdict_changes",
        "scans",
        ["account_id", "finished_at"],
        sqlite_where=sa.text("verdict_changes IS NOT NULL"),
        postgresql_where=sa.text("verdict_changes IS NOT NULL"),
    )
    op.create_index("ix_dns_changes_account_id_dns_changes_id", "dns_changes", ["account_id", "id"])
    op.create_index(
        "ix_alerts_resolved",
        "alerts",
        ["account_id", "resolved_at"],
        sqlite_where=sa.text("resolved_at IS NOT NULL"),
        postgresql_where=sa.text("resolved_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_alerts_resolved", "alerts")
    op.drop_index("ix_dns_changes_account_id_dns_changes_id", "dns_changes")
    op.drop_index("ix_scans_verdict_changes", "scans")
    with op.batch_alter_table("scans") as batch:
        batch.drop_column("verdict_changes")
    op.drop_table("domain_mail_days")
