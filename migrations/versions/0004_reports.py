"""Report files, tokens and what was in them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_ingest_tokens_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_tokens")),
        sa.UniqueConstraint("token", name=op.f("uq_ingest_tokens_token")),
    )
    op.create_index(
        op.f("ix_ingest_tokens_account_id_ingest_tokens_id"),
        "ingest_tokens",
        ["account_id", "id"],
        unique=False,
    )

    op.create_table(
        "intakes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=300), nullable=True),
        sa.Column("member", sa.String(length=300), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("provenance", sa.String(length=16), nullable=False),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("report_id", sa.Uuid(), nullable=True),
        sa.Column("parser_version", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('received', 'parsed', 'duplicate', 'conflict', 'unattributed',"
            " 'quarantined')",
            name=op.f("ck_intakes_state"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_intakes_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intakes")),
    )
    op.create_index(
        op.f("ix_intakes_account_id_intakes_id"), "intakes", ["account_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_intakes_account_id_intakes_sha256"),
        "intakes",
        ["account_id", "sha256"],
        unique=False,
    )
    op.create_index(
        op.f("ix_intakes_account_id_intakes_state_intakes_id"),
        "intakes",
        ["account_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_intakes_received",
        "intakes",
        ["rung_at"],
        unique=False,
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )

    op.create_table(
        "raw_files",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_raw_files_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "sha256", name=op.f("pk_raw_files")),
    )
    op.create_table(
        "report_days",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_report_days_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("pk_report_days")),
    )
    op.create_table(
        "dmarc_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("intake_id", sa.Uuid(), nullable=False),
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("reporter", sa.String(length=253), nullable=False),
        sa.Column("report_id", sa.String(length=255), nullable=False),
        sa.Column("begin_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("org_name", sa.String(length=300), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("contact", sa.String(length=1024), nullable=True),
        sa.Column("generator", sa.String(length=300), nullable=True),
        sa.Column("namespace", sa.String(length=100), nullable=True),
        sa.Column("version", sa.String(length=20), nullable=True),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.String(length=16), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            name=op.f("fk_dmarc_reports_account_id_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dmarc_reports")),
        sa.UniqueConstraint(
            "account_id",
            "policy_domain",
            "reporter",
            "report_id",
            "begin_at",
            "end_at",
            name=op.f(
                "uq_dmarc_reports_account_id_policy_domain_reporter_report_id_begin_at_end_at"
            ),
        ),
    )
    op.create_index(
        op.f("ix_dmarc_reports_account_id_dmarc_reports_id"),
        "dmarc_reports",
        ["account_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_dmarc_reports_domain_id_dmarc_reports_begin_at"),
        "dmarc_reports",
        ["domain_id", "begin_at"],
        unique=False,
    )

    op.create_table(
        "failure_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("intake_id", sa.Uuid(), nullable=False),
        sa.Column("reporter", sa.String(length=253), nullable=True),
        sa.Column("reported_domain", sa.String(length=253), nullable=False),
        sa.Column("auth_failure", sa.JSON(), nullable=False),
        sa.Column("identity_alignment", sa.JSON(), nullable=False),
        sa.Column("delivery_result", sa.String(length=64), nullable=True),
        sa.Column("source_ip", sa.String(length=45), nullable=True),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("sender", sa.String(length=320), nullable=True),
        sa.Column("recipient", sa.String(length=320), nullable=True),
        sa.Column("dkim_domain", sa.String(length=253), nullable=True),
        sa.Column("dkim_selector", sa.String(length=253), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.String(length=16), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            name=op.f("fk_failure_reports_account_id_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failure_reports")),
        sa.UniqueConstraint(
            "account_id",
            "content_digest",
            name=op.f("uq_failure_reports_account_id_content_digest"),
        ),
    )
    op.create_index(
        op.f("ix_failure_reports_account_id_failure_reports_id"),
        "failure_reports",
        ["account_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_failure_reports_received_at"), "failure_reports", ["received_at"], unique=False
    )

    op.create_table(
        "tls_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("intake_id", sa.Uuid(), nullable=False),
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("reporter", sa.String(length=253), nullable=False),
        sa.Column("report_id", sa.String(length=255), nullable=False),
        sa.Column("begin_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organization", sa.String(length=300), nullable=False),
        sa.Column("contact", sa.String(length=1024), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.String(length=16), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            name=op.f("fk_tls_reports_account_id_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tls_reports")),
        sa.UniqueConstraint(
            "account_id",
            "domain_id",
            "reporter",
            "report_id",
            "begin_at",
            "end_at",
            name=op.f("uq_tls_reports_account_id_domain_id_reporter_report_id_begin_at_end_at"),
        ),
    )
    op.create_index(
        op.f("ix_tls_reports_account_id_tls_reports_id"),
        "tls_reports",
        ["account_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_tls_reports_domain_id_tls_reports_begin_at"),
        "tls_reports",
        ["domain_id", "begin_at"],
        unique=False,
    )

    op.create_table(
        "dmarc_records",
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_ip", sa.String(length=45), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("dkim", sa.Boolean(), nullable=False),
        sa.Column("spf", sa.Boolean(), nullable=False),
        sa.Column("header_from", sa.String(length=253), nullable=False),
        sa.Column("envelope_from", sa.String(length=320), nullable=True),
        sa.Column("envelope_to", sa.String(length=253), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=True),
        sa.Column("dkim_results", sa.JSON(), nullable=True),
        sa.Column("spf_results", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["dmarc_reports.id"],
            name=op.f("fk_dmarc_records_report_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("report_id", "position", name=op.f("pk_dmarc_records")),
    )
    op.create_index(
        op.f("ix_dmarc_records_account_id_dmarc_records_source_ip"),
        "dmarc_records",
        ["account_id", "source_ip"],
        unique=False,
    )
    op.create_index(
        op.f("ix_dmarc_records_domain_id_dmarc_records_at"),
        "dmarc_records",
        ["domain_id", "at"],
        unique=False,
    )

    op.create_table(
        "tls_policies",
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy_type", sa.String(length=32), nullable=False),
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("policy_strings", sa.JSON(), nullable=False),
        sa.Column("mx_hosts", sa.JSON(), nullable=False),
        sa.Column("successful", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["tls_reports.id"],
            name=op.f("fk_tls_policies_report_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("report_id", "position", name=op.f("pk_tls_policies")),
    )
    op.create_index(
        op.f("ix_tls_policies_domain_id_tls_policies_at"),
        "tls_policies",
        ["domain_id", "at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_tls_policies_domain_id_tls_policies_at"), table_name="tls_policies")

    op.drop_table("tls_policies")
    op.drop_index(op.f("ix_dmarc_records_domain_id_dmarc_records_at"), table_name="dmarc_records")
    op.drop_index(
        op.f("ix_dmarc_records_account_id_dmarc_records_source_ip"), table_name="dmarc_records"
    )

    op.drop_table("dmarc_records")
    op.drop_index(op.f("ix_tls_reports_domain_id_tls_reports_begin_at"), table_name="tls_reports")
    op.drop_index(op.f("ix_tls_reports_account_id_tls_reports_id"), table_name="tls_reports")

    op.drop_table("tls_reports")
    op.drop_index(op.f("ix_failure_reports_received_at"), table_name="failure_reports")
    op.drop_index(
        op.f("ix_failure_reports_account_id_failure_reports_id"), table_name="failure_reports"
    )

    op.drop_table("failure_reports")
    op.drop_index(
        op.f("ix_dmarc_reports_domain_id_dmarc_reports_begin_at"), table_name="dmarc_reports"
    )
    op.drop_index(op.f("ix_dmarc_reports_account_id_dmarc_reports_id"), table_name="dmarc_reports")

    op.drop_table("dmarc_reports")
    op.drop_table("report_days")
    op.drop_table("raw_files")
    op.drop_index(
        "ix_intakes_received",
        table_name="intakes",
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )
    op.drop_index(op.f("ix_intakes_account_id_intakes_state_intakes_id"), table_name="intakes")
    op.drop_index(op.f("ix_intakes_account_id_intakes_sha256"), table_name="intakes")
    op.drop_index(op.f("ix_intakes_account_id_intakes_id"), table_name="intakes")

    op.drop_table("intakes")
    op.drop_index(op.f("ix_ingest_tokens_account_id_ingest_tokens_id"), table_name="ingest_tokens")

    op.drop_table("ingest_tokens")
