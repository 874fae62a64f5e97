"""The policies that reports tell of, as they are handed to the checks of a scan."""

from typing import Any

import pytest

from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import Domain, DomainState
from app.protocols import timestamps
from app.services.scans import observed_policies, runner, scans
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.stored_reports import DAY, POLICY, Report, store
from tests.support.zones import Zone, ZoneDoor

pytestmark = pytest.mark.usefixtures("database")


def seen(domain: Domain) -> list[tuple[str, str]]:
    """Reporter and p of each."""
    with transaction(readonly=True) as session:
        found = observed_policies.policies(session, [domain.id], now(session))
    return [(one.reporter, one.p) for one in found.get(domain.id, ())]


def report(domain: Domain, reporter: str, p: str = "none", days: float = 2, **given: Any) -> None:
    """Store a report about a day that began so many days ago."""
    with transaction(readonly=True) as session:
        begin = now(session) - days * DAY
    policy = POLICY | {"p": p}
    store(domain, Report([], begin=begin, reporter=reporter, policy=policy, **given))


@pytest.fixture
def domain() -> Domain:
    return make_domain(make_account().id, "acme.test", schedule="off")


def test_each_reporter_counts_with_its_last_report(domain: Domain) -> None:
    report(domain, "a.test", "reject", days=3)
    report(domain, "a.test", "none", days=2)
    report(domain, "b.test", "reject", days=1)
    assert seen(domain) == [("a.test", "none"), ("b.test", "reject")]


def test_what_nobody_vouches_for_or_is_old_or_of_another_domain_is_left_out(domain: Domain) -> None:
    report(domain, "a.test", provenance="unverified")
    report(domain, "b.test", days=8)
    report(domain, "c.test", about="sub.acme.test")
    report(make_domain(make_account().id, "acme.test"), "d.test")
    assert seen(domain) == []


def test_of_very_many_reporters_those_heard_last_count(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_policies, "MAX_REPORTERS", 2)
    for days, name in enumerate("abc", start=1):
        report(domain, f"{name}.test", days=days)
    assert seen(domain) == [("a.test", "none"), ("b.test", "none")]


def test_a_scan_tells_of_reporters_that_see_another_policy(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "enqueue_scans", lambda *_, **__: True)
    zone = Zone({"_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"]})
    report(domain, "a.test")
    report(domain, "b.test")
    assert _codes(domain, zone) == []  # they are of the time before the first scan
    assert _codes(domain, zone) == []
    with transaction() as session:
        state = session.get_one(DomainState, domain.id)
        dmarc = state.last_results["dmarc"]
        since = timestamps.text(now(session) - 5 * DAY)
        aged = dmarc | {"facts": dmarc["facts"] | {"policy_since": since}}
        state.last_results = {**state.last_results, "dmarc": aged}
    assert _codes(domain, zone) == ["dmarc.observed_differs_from_published"]


def _codes(domain: Domain, zone: Zone) -> list[str]:
    scan = make_scan(domain.account_id, domain.name)
    assert runner.run([scan.id], ZoneDoor(zone)) == 1
    result: Any = scans.find(domain.account_id, scan.id).result
    return [
        found["code"]
        for check in result["checks"]
        for found in check["findings"]
        if "observed" in found["code"]
    ]
