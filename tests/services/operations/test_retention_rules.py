"""Every table has a rule of retention or a reason for none; thinning of scans; legal holds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db.transactions import transaction
from app.models import Base, DmarcHour, DmarcReport, Domain, DomainState, Scan
from app.services.core import account_rows
from app.services.domains import domains
from app.services.operations import retention, retention_rules
from app.services.operations.retention_rules import RULES, WITHOUT_RULE
from app.services.scans import runner
from tests.support import full_account
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.full_account import FullAccount
from tests.support.zones import SERVFAIL, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

AUDIT_LOG = {"audit_events.target", "audit_events.details", "audit_events.actor"}
GOOD: Mapping[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}
OTHER = {**GOOD, "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:d@acme.test"]}
UNSEEN = {**GOOD, "_dmarc.acme.test": SERVFAIL}


def after(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@pytest.fixture
def full() -> FullAccount:
    return full_account.make("gone")


def test_every_table_has_either_a_rule_or_a_reason() -> None:
    tables = set(Base.metadata.tables)
    with_rule = {rule.table for rule in RULES}
    assert with_rule | set(WITHOUT_RULE) == tables
    assert with_rule & set(WITHOUT_RULE) == set()
    assert all(reason.endswith(".") for reason in WITHOUT_RULE.values())
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_preview_counts_what_a_run_deletes_and_deletes_nothing(full: FullAccount) -> None:
    before = counts()
    expected = {row.name: row.rows for row in retention.preview(after(5_000)) if row.rows}
    assert counts() == before
    assert {"scans.old", "audit_events", "dmarc_reports", "events", "alerts"} - set(expected) <= {
        "alerts",
        "scans.old",
    }
    deleted = retention.run(after(5_000))
    for name, number in expected.items():  # what goes with another row is not there any more
        assert deleted.get(name, 0) <= number
    assert deleted["audit_events"] == expected["audit_events"]
    assert all(row.rows == 0 for row in retention.preview(after(5_000)))


def counts() -> dict[str, int]:
    with transaction(readonly=True) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in account_rows.tables()
        }


def test_data_of_a_domain_on_hold_is_not_deleted(full: FullAccount) -> None:
    domains.hold(full.account.id, full.domain, "case 12", actor=ACTOR)
    before = full_account.places(full.domain)
    rows = counts()
    retention.run(after(5_000))
    left = counts()
    passes = {
        "mail_hosts",
        "idempotent_calls",
        "sessions",
        "form_results",
        "form_drafts",
        "invitations",
        "password_resets",
        "emails",
        "daily_ingest_usage",
    }
    passes |= {"api_key_usage", "api_key_addresses", "scan_batches", "batch_scans", "sender_hosts"}
    passes |= {"refusal_counts", "sign_in_networks", "ingest_sources", "token_leaks"}
    passes |= {"record_log"}  # the order of records, of which it has only the ids
    assert {name for name in rows if rows[name] != left[name]} <= passes
    assert before - full_account.places(full.domain) <= {"mail_hosts.name", "idempotent_calls.body"}


def test_after_eight_days_only_the_audit_log_names_a_deleted_domain(full: FullAccount) -> None:
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    retention.run(after(8))
    left = full_account.places(full.domain)
    assert left <= AUDIT_LOG | {"mail_hosts.name"}
    assert left & AUDIT_LOG
    retention.run(after(401))
    assert full_account.places(full.domain) == set()


def test_deleted_reports_leave_the_figures_of_the_others(full: FullAccount) -> None:
    retention.run(after(730 - 10))
    with transaction(readonly=True) as session:
        reports = session.scalars(select(DmarcReport.report_id)).all()
        messages = session.scalar(select(func.sum(DmarcHour.messages)))
    assert "old" not in reports
    assert "r1" in reports
    assert messages == 3


def test_bounded_batches_delete_the_same(
    full: FullAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_rows, "BATCH_SIZES", {})
    monkeypatch.setattr(account_rows, "BATCH_SIZE", 1)
    monkeypatch.setattr(retention, "REPORTS_BATCH_SIZE", 1)
    retention.run(after(5_000))
    assert all(row.rows == 0 for row in retention.preview(after(5_000)))


def test_first_last_and_changed_scans_are_kept() -> None:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    scans = []
    for records in (GOOD, GOOD, GOOD, OTHER, OTHER, UNSEEN, OTHER, GOOD, GOOD, GOOD):
        queued = make_scan(account.id, "acme.test")
        assert runner.run([queued.id], ZoneNetwork(Zone(records))) == 1
        scans.append(queued.id)
    assert left(29) == scans
    first, changed, back, last = scans[0], scans[3], scans[7], scans[9]
    assert left(31) == [first, changed, back, last]
    assert left(401) == [last]
    with transaction(readonly=True) as session:
        domain, state = session.scalars(select(Domain)).one(), session.scalars(select(DomainState))
        assert domain.last_scan_id == last
        assert state.one().last_results


def left(days: float) -> list[Any]:
    """The scans that still exist after this number of days."""
    retention.run(after(days))
    with transaction(readonly=True) as session:
        return list(session.scalars(select(Scan.id).order_by(Scan.id)))


def test_scan_of_an_earlier_release_is_not_thinned() -> None:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    for _ in range(3):
        queued = make_scan(account.id, "acme.test")
        runner.run([queued.id], ZoneNetwork(Zone(GOOD)))
    with transaction() as session:
        for row in session.scalars(select(Scan)):
            row.has_changes = None
    assert len(left(31)) == 3


def test_every_setting_of_a_rule_is_a_setting() -> None:
    for rule in RULES:
        assert rule.days is None or rule.days > 0
    assert {rule.setting for rule in RULES if rule.days is None} == {""}
    assert retention_rules.INGEST_USAGE_RETENTION.days == 90
