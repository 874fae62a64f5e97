"""Any sequence of scans leads to one alert per problem with a complete history."""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.engine import Engine

from app import ids
from app.db.transactions import transaction
from app.models import Alert, AlertTransition, Domain, Event, Scan
from app.models.alerts import LIVE
from app.models.scans import MAX_ATTEMPTS
from app.ports.http import Page
from app.services.alerts import alerts, transitions
from app.services.alerts.alerts import AlertChange
from app.services.alerts.transitions import Transition
from app.services.domains import verification, verification_recheck
from app.services.notifications import feed
from app.services.scans import runner, scans
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, TIMEOUT, Failure, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

GOOD: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    ("acme.test", "TXT"): ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
    "_mta-sts.acme.test": ["v=STSv1; id=1"],
}
HOST, PATH = "mta-sts.acme.test", "/.well-known/mta-sts.txt"
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.acme.test\nmax_age: 604800\n"
SERVED = Page(
    url=f"https://{HOST}{PATH}",
    status=200,
    content_type="text/plain",
    body=POLICY,
    not_after="2099-01-01T00:00:00Z",
)
GONE = Page(f"https://{HOST}{PATH}", 503)
SPF = {
    "ok": ["v=spf1 mx -all"],
    "bad": ["v=spf1 mx -all", "v=spf1 -all"],
    "worse": [],
    "changed": ["v=spf1 a mx -all"],
    "undetermined": TIMEOUT,
}
TYPES = {"bad": "spf.multiple_records", "worse": "spf.missing"}


def scan(account_id: UUID, records: dict[Any, Any], page: Page | Failure = SERVED) -> UUID:
    queued = make_scan(account_id, "acme.test")
    zone = Zone(GOOD | records, {(HOST, PATH): page})
    assert runner.run([queued.id], ZoneNetwork(zone)) == 1
    return queued.id


def live_alerts(account_id: UUID) -> dict[tuple[str, str], Alert]:
    with transaction(readonly=True) as session:
        rows = session.scalars(
            select(Alert).where(Alert.account_id == account_id, Alert.status.in_(LIVE))
        ).all()
    assert max(Counter((row.type, row.subject) for row in rows).values(), default=0) <= 1
    return {(row.type, row.subject): row for row in rows}


def types(account_id: UUID) -> set[str]:
    return {type for type, _ in live_alerts(account_id)}


def transitions_of(account_id: UUID) -> dict[UUID, list[AlertTransition]]:
    transitions_by_alert: dict[UUID, list[AlertTransition]] = {}
    with transaction(readonly=True) as session:
        for row in session.scalars(
            select(AlertTransition)
            .where(AlertTransition.account_id == account_id)
            .order_by(AlertTransition.id)
        ):
            transitions_by_alert.setdefault(row.alert_id, []).append(row)
    return transitions_by_alert


@given(st.lists(st.sampled_from(sorted(SPF)), min_size=1, max_size=7))
@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_sequence_of_scans_duplicates_an_alert_or_breaks_its_history(
    outcomes: Sequence[str],
) -> None:
    account_id = make_account().id
    make_domain(account_id, "acme.test", schedule="off")
    scan(account_id, {})
    last = "ok"
    for outcome in outcomes:
        before = {key: alert.status for key, alert in live_alerts(account_id).items()}
        scan(account_id, {("acme.test", "TXT"): SPF[outcome]})
        after = live_alerts(account_id)
        if outcome == "undetermined":
            assert {key: alert.status for key, alert in after.items()} == before
        else:
            last = outcome
        expected = {TYPES[last]} if last in TYPES else set()
        assert {type for type, _ in after if type in TYPES.values()} == expected
    assert_explained(account_id)


def assert_explained(account_id: UUID) -> None:
    """Assert that each history leads to the status, and each transition is one event."""
    history = transitions_of(account_id)
    with transaction(readonly=True) as session:
        rows = session.scalars(select(Alert).where(Alert.account_id == account_id)).all()
        events = session.execute(
            select(Event.id, Event.type).where(Event.account_id == account_id)
        ).all()
    for alert in rows:
        steps = history[alert.id]
        assert steps[0].from_status is None
        for step, following in itertools.pairwise(steps):
            assert step.to_status == following.from_status
        assert steps[-1].to_status == alert.status
        assert all(step.evidence for step in steps if step.to_status == "resolved")
    steps_as_events = {(step.id, step.type) for steps in history.values() for step in steps}
    assert {tuple(event) for event in events} == steps_as_events


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test", schedule="off")
    return account.id


def test_change_keeps_the_findings_that_appeared_or_cleared(account_id: UUID) -> None:
    scan(account_id, {})
    weak = {"_dmarc.acme.test": ["v=DMARC1; p=none"]}
    key = ("dns.record_changed.dmarc", "_dmarc.acme.test TXT")
    for _ in range(2):  # the scan that saw it, and one of the days after
        scan(account_id, weak)
        evidence: Any = live_alerts(account_id)[key].evidence
        assert {"dmarc.policy_none", "dmarc.rua_missing"} <= set(evidence["opened"])
        assert evidence["closed"] == []
    scan(account_id, {})
    evidence = live_alerts(account_id)[key].evidence
    assert "dmarc.policy_none" in evidence["closed"]


def test_flapping_finding_opens_an_alert_at_the_second_conclusive_scan(account_id: UUID) -> None:
    scan(account_id, {})
    scan(account_id, {}, GONE)
    assert "mta_sts.policy_unreachable" not in types(account_id)
    scan(account_id, {}, TIMEOUT)  # neither counts nor resets the count
    assert "mta_sts.policy_unreachable" not in types(account_id)
    scan(account_id, {}, GONE)
    live = live_alerts(account_id)
    opened = {type: alert.severity for (type, _), alert in live.items()}
    assert opened["mta_sts.policy_unreachable"] == "critical"
    assert opened["mta_sts.policy_broken"] == "critical"
    scan(account_id, {}, TIMEOUT)
    assert "mta_sts.policy_unreachable" in types(account_id)
    scan(account_id, {})
    assert types(account_id).isdisjoint({"mta_sts.policy_unreachable", "mta_sts.policy_broken"})


def test_scan_that_only_opens_an_alert_has_changes(account_id: UUID) -> None:
    for page in (SERVED, GONE, GONE, GONE):
        scan(account_id, {}, page)
    with transaction(readonly=True) as session:
        has_changes = session.scalars(select(Scan.has_changes).order_by(Scan.id)).all()
    assert list(has_changes[1:]) == [True, True, False]  # the third scan opens the alert


def test_single_failed_scans_between_good_ones_open_no_alert(account_id: UUID) -> None:
    for page in (SERVED, GONE, SERVED, GONE, SERVED):
        scan(account_id, {}, page)
        assert "mta_sts.policy_unreachable" not in types(account_id)


def test_recurrence_within_a_day_reopens_the_alert(account_id: UUID) -> None:
    scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    first = live_alerts(account_id)["spf.multiple_records", "acme.test"]
    scan(account_id, {})
    scan_id = scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    again = live_alerts(account_id)["spf.multiple_records", "acme.test"]
    assert (again.id, again.status, again.resolved_at) == (first.id, "open", None)
    steps = transitions_of(account_id)[first.id]
    assert [step.type for step in steps] == ["alert.opened", "alert.resolved", "alert.reopened"]
    evidence: Any = steps[1].evidence
    assert evidence["verdict"] == "ok"
    assert ["v=spf1 mx -all"] in [record["values"] for record in evidence["records"]]
    stored = scans.find(account_id, scan_id).result
    assert stored is not None
    assert stored["alerts"]["opened"]


def test_recurrence_after_the_window_opens_a_new_alert(account_id: UUID) -> None:
    scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    first = live_alerts(account_id)["spf.multiple_records", "acme.test"]
    scan(account_id, {})
    with transaction() as session:
        long_ago = datetime.now(UTC) - timedelta(hours=25)
        session.execute(update(Alert).values(resolved_at=long_ago))
    scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    assert live_alerts(account_id)["spf.multiple_records", "acme.test"].id != first.id


def test_expiring_certificate_and_dropped_score_open_alerts(account_id: UUID) -> None:
    soon = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    scan(account_id, {})
    page = Page(url=SERVED.url, status=200, content_type="text/plain", body=POLICY, not_after=soon)
    scan(account_id, {("acme.test", "TXT"): [], "_dmarc.acme.test": []}, page)
    by_type = {type: alert for (type, _), alert in live_alerts(account_id).items()}
    assert by_type["cert.expiring"].severity == "high"
    evidence: Any = by_type["score.dropped"].evidence
    assert evidence["baseline"] > evidence["observed"]
    assert by_type["score.grade_changed"].evidence["before"] != "F"
    scan(account_id, {})
    assert types(account_id).isdisjoint({"cert.expiring", "score.dropped"})


def test_repeated_scan_failures_have_an_alert_until_a_scan_completes(account_id: UUID) -> None:
    for number in (1, 2):
        queued = make_scan(account_id, "acme.test")
        with transaction() as session:
            long_ago = datetime.now(UTC) - timedelta(hours=1)
            session.execute(
                update(Scan)
                .where(Scan.id == queued.id)
                .values(status="running", attempt=MAX_ATTEMPTS, lease_until=long_ago)
            )
        runner.requeue_stale()
        assert ("scan.failed_repeatedly" in types(account_id)) is (number == 2)
    scan(account_id, {})
    assert "scan.failed_repeatedly" not in types(account_id)


def test_verification_is_lost_after_three_conclusive_lookups_without_the_record(
    account_id: UUID, settings: Settings
) -> None:
    challenge = verification.challenge(account_id, "acme.test")
    there = ZoneNetwork(Zone({challenge.name: [challenge.value]}))
    nothing = ZoneNetwork(Zone({"acme.test": ["v=spf1 -all"]}))
    broken = ZoneNetwork(Zone({challenge.name: SERVFAIL}))
    dead = ZoneNetwork(Zone({}))
    domain = verification.verify(account_id, "acme.test", there, actor=ACTOR)

    def is_verified() -> bool:
        with transaction(readonly=True) as session:
            return session.get_one(Domain, domain.id).verified_at is not None

    for network in (nothing, broken, dead, dead, nothing, there, nothing, nothing, dead, broken):
        verification_recheck.recheck([domain.id], network)
        assert is_verified()
    verification_recheck.recheck([domain.id], nothing)
    assert not is_verified()
    assert "domain.verification_lost" in types(account_id)
    verification.verify(account_id, "acme.test", there, actor=ACTOR)
    assert "domain.verification_lost" not in types(account_id)


def test_event_feed_has_no_gaps_and_is_stable(account_id: UUID) -> None:
    scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    rows, _ = feed.listing(account_id, 0).page(None, 100)
    sequences = [row.sequence for row in rows]
    scan(account_id, {})
    more, _ = feed.listing(account_id, sequences[-1]).page(None, 100)
    assert [*sequences, *(row.sequence for row in more)] == list(
        range(1, len(sequences) + len(more) + 1)
    )
    assert feed.listing(account_id, 0).page(None, 100)[0][: len(rows)] == rows


def test_event_that_is_committed_later_has_a_higher_number(
    account_id: UUID, database: Engine
) -> None:
    """No event gets a sequence number below one that was already read."""
    if database.dialect.name == "sqlite":
        pytest.skip("on SQLite there is one writer at a time")
    scan(account_id, {("acme.test", "TXT"): SPF["bad"]})
    first, second, *_ = live_alerts(account_id).values()
    with transaction() as session:
        slow = session.get_one(Alert, first.id)
        transitions.transition(session, slow, Transition("acknowledged", ACTOR), datetime.now(UTC))
        alerts.change(account_id, second.id, AlertChange("acknowledged"), actor=ACTOR)
        rows, _ = feed.listing(account_id, 0).page(None, 100)
        last = rows[-1]
        assert last.body["data"]["alert"]["id"] == ids.public("alert", second.id)
    (late,), _ = feed.listing(account_id, last.sequence).page(None, 100)
    assert late.sequence == last.sequence + 1
    assert late.body["data"]["alert"]["id"] == ids.public("alert", first.id)
