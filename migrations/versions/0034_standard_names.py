"""Rename tables and columns to the standard terms.

Every row is kept: only names change.

Revision ID: 0034
Revises: 0033
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import JSON, Uuid, column, select, text, update

revision, down_revision = "0034", "0033"

BATCH_SIZE = 1_000

TABLES = (
    ("intakes", "report_files"),
    ("uncounted_reports", "rollup_queue"),
    ("report_days", "daily_ingest_usage"),
    ("seen_selectors", "observed_selectors"),
    ("report_watches", "report_monitors"),
    ("source_states", "source_decisions"),
    ("key_uses", "api_key_usage"),
    ("key_addresses", "api_key_addresses"),
)
COLUMNS = (
    ("mail_hosts", "wanted_at", "last_referenced_at"),
    ("mail_hosts", "seen_at", "probed_at"),
    ("mail_hosts", "seen", "probe_result"),
    ("sender_hosts", "unseen", "lookup_failure"),
    ("sender_hosts", "looked_at", "looked_up_at"),
    ("channels", "sealed", "secret_encrypted"),
    ("channels", "least_severity", "min_severity"),
    ("channels", "rests_until", "backoff_until"),
    ("channels", "lease", "lease_token"),
    ("report_files", "way", "received_via"),
    ("report_files", "member", "entry"),
    ("report_files", "state", "status"),
    ("report_files", "claims", "sender_metadata"),
    ("report_files", "about", "policy_domain"),
    ("report_files", "rung_at", "enqueued_at"),
    ("report_files", "asked_again_at", "retried_at"),
    ("report_mailboxes", "pulled_at", "polled_at"),
    ("report_mailboxes", "kept", "imported_count"),
    ("dmarc_reports", "intake_id", "report_file_id"),
    ("dmarc_reports", "records", "record_count"),
    ("dmarc_weeks", "is_closed", "is_compacted"),
    ("dmarc_weeks", "changes", "version"),
    ("dns_changes", "opened", "findings_appeared"),
    ("dns_changes", "closed", "findings_resolved"),
    ("domain_states", "known", "last_results"),
    ("domain_states", "unseen", "undetermined"),
    ("domain_states", "marks", "score_history"),
    ("failure_reports", "intake_id", "report_file_id"),
    ("scans", "rung_at", "enqueued_at"),
    ("sessions", "awaits_code", "mfa_pending"),
    ("source_decisions", "state", "decision"),
    ("tls_reports", "intake_id", "report_file_id"),
    ("rollup_queue", "is_set_aside", "failed"),
)
INDEXES = (
    (
        "report_files",
        "ix_intakes_account_id_intakes_id",
        "ix_report_files_account_id_report_files_id",
        ["account_id", "id"],
        None,
    ),
    (
        "report_files",
        "ix_intakes_account_id_intakes_state_intakes_id",
        "ix_report_files_account_id_report_files_status_report_files_id",
        ["account_id", "status", "id"],
        None,
    ),
    (
        "report_files",
        "ix_intakes_authenticity",
        "ix_report_files_authenticity",
        ["account_id", "authenticity", "reporter", "finished_at"],
        "authenticity IS NOT NULL",
    ),
    (
        "report_files",
        "ix_intakes_received",
        "ix_report_files_received",
        ["enqueued_at"],
        "status = 'received'",
    ),
    (
        "report_files",
        "ix_intakes_received_at",
        "ix_report_files_received_at",
        ["received_at"],
        None,
    ),
    ("report_files", "ix_intakes_report_id", "ix_report_files_report_id", ["report_id"], None),
    (
        "report_files",
        "ix_intakes_turns",
        "ix_report_files_turns",
        ["account_id", "enqueued_at", "id"],
        "status = 'received'",
    ),
    ("report_monitors", "ix_report_watches_due_at", "ix_report_monitors_due_at", ["due_at"], None),
    (
        "rollup_queue",
        "ix_uncounted_reports_domain_id",
        "ix_rollup_queue_domain_id",
        ["domain_id"],
        None,
    ),
)  # table, old name, new name, columns, condition


def upgrade() -> None:
    """Rename tables, then columns, then indexes and constraints."""
    for old, new in TABLES:
        op.rename_table(old, new)
    for name, old, new in COLUMNS:
        op.execute(f'ALTER TABLE "{name}" RENAME COLUMN "{old}" TO "{new}"')
    for table, old, new, columns, condition in INDEXES:
        _rename_index(table, old, new, columns, condition)
    _rename_constraints(dict(TABLES))
    _rename_score_keys("next", "recommendations", {"of": "maxPoints"}, {"worth": "scoreGain"})


def downgrade() -> None:
    """Restore the previous names."""
    old_columns = {(name, new): old for name, old, new in COLUMNS}
    for name, old, new in COLUMNS:
        op.execute(f'ALTER TABLE "{name}" RENAME COLUMN "{new}" TO "{old}"')
    old_tables = {new: old for old, new in TABLES}
    for new, old in old_tables.items():
        op.rename_table(new, old)
    for table, old, new, columns, condition in INDEXES:
        former = [old_columns.get((table, column), column) for column in columns]
        where = condition.replace("status", "state") if condition else None
        _rename_index(old_tables.get(table, table), new, old, former, where)
    _rename_constraints(old_tables)
    _rename_score_keys("recommendations", "next", {"maxPoints": "of"}, {"scoreGain": "worth"})


def _rename_index(
    table: str, old: str, new: str, columns: list[str], condition: str | None
) -> None:
    """SQLite cannot rename an index, so it is created again there."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'ALTER INDEX "{old}" RENAME TO "{new}"')
        return
    op.drop_index(old, table)
    where = text(condition) if condition else None
    op.create_index(new, table, columns, sqlite_where=where)


def _rename_constraints(tables: dict[str, str]) -> None:
    """Let the names of constraints follow the tables; SQLite keeps them as they were."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    for old, new in tables.items():
        query = text("SELECT conname FROM pg_constraint WHERE conrelid = CAST(:name AS regclass)")
        for name in bind.execute(query, {"name": new}).scalars().all():
            kind, _, rest = name.partition("_")
            if rest.startswith(old):
                renamed = f"{kind}_{new}{rest.removeprefix(old)}"
                op.execute(f'ALTER TABLE "{new}" RENAME CONSTRAINT "{name}" TO "{renamed}"')


def _rename_score_keys(old: str, new: str, points: dict[str, str], steps: dict[str, str]) -> None:
    """Rename the keys of stored scores, a thousand rows at a time.

    old, new       the key of the recommendations
    points, steps  keys within the points of each check, and within each recommendation
    """
    bind = op.get_bind()
    for name, key in (("domain_states", "domain_id"), ("scans", "id")):
        rows = sa.table(name, column(key, Uuid), column("score", JSON))
        last = None
        while True:
            query = select(rows.c[key], rows.c.score).order_by(rows.c[key]).limit(BATCH_SIZE)
            batch = bind.execute(query if last is None else query.where(rows.c[key] > last)).all()
            if not batch:
                break
            last = batch[-1][0]
            for id, score in batch:
                if score and "points" in score:
                    renamed = _renamed(score, old, new, points, steps)
                    bind.execute(update(rows).where(rows.c[key] == id).values(score=renamed))


def _renamed(
    score: dict[str, Any], old: str, new: str, points: dict[str, str], steps: dict[str, str]
) -> dict[str, Any]:
    renamed = {key: value for key, value in score.items() if key != old}
    renamed["points"] = [
        {points.get(key, key): value for key, value in part.items()} for part in score["points"]
    ]
    renamed[new] = [
        {steps.get(key, key): value for key, value in step.items()} for step in score.get(old, ())
    ]
    return renamed
