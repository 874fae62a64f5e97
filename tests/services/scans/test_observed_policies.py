"""Policies observed by reporters, as input of the checks of a scan."""

from typing import Any

import pytest

from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import Domain, DomainState
from app.protocols import timestamps
from app.services.scans import observed_policies, runner, scans
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.stored_reports import DAY, POLICY, Report, store
from tests.support.zones import Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")


def observed(domain: Domain) -> list[tuple[str, str]]:
    """The reporter and the p of each observed policy."""
    with transaction(readonly=True) as session:
        policies = observed_policies.policies(session, [domain.id], now(session))
    return [(policy.reporter, policy.p) for policy in policies.get(domain.id, ())]


def report(domain: Domain, reporter: str, p: str = "none", days: float = 2, **fields: Any) -> None:
    """Store a report about the day that began ``days`` ago."""
    with transaction(readonly=True) as session:
        begin = now(session) - days * DAY
    policy = POLICY | {"p": p}
    store(domain, Report([], begin=begin, reporter=reporter, policy=policy, **fields))


@pytest.fixture
def domain() -> Domain:
    return make_domain(make_account().id, "acme.test", schedule="off")


def test_last_report_of_each_reporter_counts(domain: Domain) -> None:
    report(domain, "a.test", "reject", days=3)
    report(domain, "a.test", "none", days=2)
    report(domain, "b.test", "reject", days=1)
    assert observed(domain) == [("a.test", "none"), ("b.test", "reject")]


def test_unverified_old_and_foreign_reports_are_ignored(domain: Domain) -> None:
    report(domain, "a.test", provenance="unverified")
    report(domain, "b.test", days=8)
    report(domain, "c.test", about="sub.acme.test")
    report(make_domain(make_account().id, "acme.test"), "d.test")
    assert observed(domain) == []


def test_latest_reporters_count_if_there_are_too_many(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_policies, "MAX_REPORTERS", 2)
    for days, name in enumerate("abc", start=1):
        report(domain, f"{name}.test", days=days)
    assert observed(domain) == [("a.test", "none"), ("b.test", "none")]


def test_scan_reports_a_policy_that_differs_from_the_published_one(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "enqueue_scans", lambda *_, **__: True)
    zone = Zone({"_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"]})
    report(domain, "a.test")
    report(domain, "b.test")
    assert _codes(domain, zone) == []  # the reports are older than the first scan
    assert _codes(domain, zone) == []
    with transaction() as session:
        state = session.get_one(DomainState, domain.id)
        dmarc = state.last_results["dmarc"]
        since = timestamps.text(now(session) - 5 * DAY)
        aged = {**dmarc["facts"], "policy_since": since}
        state.last_results = {**state.last_results, "dmarc": {**dmarc, "facts": aged}}
    assert _codes(domain, zone) == ["dmarc.observed_differs_from_published"]


def _codes(domain: Domain, zone: Zone) -> list[str]:
    scan = make_scan(domain.account_id, domain.name)
    assert runner.run([scan.id], ZoneNetwork(zone)) == 1
    result: Any = scans.find(domain.account_id, scan.id).result
    return [
        finding["code"]
        for check in result["checks"]
        for finding in check["findings"]
        if "observed" in finding["code"]
    ]
