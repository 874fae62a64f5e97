"""Domains: adding, finding, changing and deleting them, within one account only."""

from datetime import UTC, datetime

import pytest

from app import ids
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from app.rules.engine.types import AlertDraft
from app.services.alerts import alerts, transitions
from app.services.alerts.transitions import Sighting
from app.services.core import domain_lookup
from app.services.domain_status import domain_list
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import domains, verification
from app.services.domains.domains import NewDomain
from app.services.notifications import feed
from app.services.scans import scans
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")


def test_domain_name_is_stored_normalized() -> None:
    assert make_domain(make_account().id, "BÜCHER.test.").name == "xn--bcher-kva.test"


@pytest.mark.parametrize(
    ("name", "code"),
    [("192.0.2.1", "ip_address"), ("co.uk", "public_suffix"), ("a_b.test", "underscore")],
)
def test_invalid_domain_is_refused_with_the_reason(name: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_domain(make_account().id, name)
    assert [detail["code"] for detail in caught.value.extra["details"]] == [code]


def test_duplicate_domain_is_a_conflict_that_names_it() -> None:
    account = make_account()
    domain = make_domain(account.id, "acme.test")
    with pytest.raises(Conflict) as caught:
        make_domain(account.id, "ACME.test")
    assert caught.value.extra["existingId"] == ids.public("dom", domain.id)


def test_two_accounts_can_monitor_the_same_domain() -> None:
    assert (
        make_domain(make_account().id, "acme.test").id
        != make_domain(make_account().id, "acme.test").id
    )


def test_domain_is_found_by_id_and_by_name() -> None:
    account = make_account()
    domain = make_domain(account.id, "acme.test")
    assert domain_lookup.find(account.id, ids.public("dom", domain.id)).id == domain.id
    assert domain_lookup.find(account.id, "Acme.Test").id == domain.id


@pytest.mark.parametrize("ref", ["other.test", "dom_00000000000000000000000000", "", "a b"])
def test_unknown_domain_is_not_found(ref: str) -> None:
    with pytest.raises(NotFound):
        domain_lookup.find(make_account().id, ref)


def test_domain_of_another_account_is_not_found() -> None:
    domain = make_domain(make_account().id, "acme.test")
    other = make_account().id
    for ref in (ids.public("dom", domain.id), "acme.test"):
        with pytest.raises(NotFound):
            domain_lookup.find(other, ref)


def test_invalid_name_does_not_stop_a_batch() -> None:
    account = make_account()
    news = [NewDomain(name) for name in ("a.test", "192.0.2.1", "b.test", "A.test")]
    added = domains.create_many(account.id, news, actor=ACTOR)
    assert [result.error.code if result.error else None for result in added.results] == [
        None,
        "invalid_request",
        None,
        "conflict",
    ]
    assert (added.created, added.created_count, added.rejected_count) == (
        ["a.test", "b.test"],
        2,
        2,
    )


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (DomainFilter(), ["c.test", "b.test", "a.test"]),
        (DomainFilter(sort="name"), ["a.test", "b.test", "c.test"]),
        (DomainFilter(tag="blue"), ["b.test", "a.test"]),
        (DomainFilter(tag="blu"), []),
        (DomainFilter(tag="%"), []),
        (DomainFilter(q="B.T"), ["b.test"]),
        (DomainFilter(q="%"), []),
        (DomainFilter(grade="A"), []),
    ],
)
def test_domain_list_is_filtered_and_sorted(filters: DomainFilter, names: list[str]) -> None:
    account = make_account()
    make_domain(make_account().id, "foreign.test")
    for name, tags in (("a.test", ["blue"]), ("b.test", ["red", "blue"]), ("c.test", [])):
        make_domain(account.id, name, tags=tags)
    rows, cursor_values = domain_list.listing(account.id, filters).page(None, 50)
    assert ([row.name for row in rows], cursor_values) == (names, None)


@pytest.mark.parametrize("sort", ["-createdAt", "name", "-score"])
def test_pages_contain_each_domain_once(sort: str) -> None:
    account = make_account()
    for number in range(7):
        make_domain(account.id, f"d{number}.test")
    listing = domain_list.listing(account.id, DomainFilter(sort=sort))
    names: list[str] = []
    cursor_values: list[object] | None = None
    while True:
        rows, cursor_values = listing.page(cursor_values, 3)
        names += [row.name for row in rows]
        if cursor_values is None:
            break
    assert sorted(names) == [f"d{number}.test" for number in range(7)]


def test_change_with_an_outdated_version_is_refused() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    stale = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(PreconditionFailed):
        domains.update(account.id, "acme.test", {"tags": ["x"]}, actor=ACTOR, expected=stale)


def test_schedule_sets_the_next_scan_within_its_period() -> None:
    account = make_account()
    domain = make_domain(account.id, "acme.test", schedule="off")
    assert domain.next_scan_at is None
    changed = domains.update(account.id, "acme.test", {"schedule": "hourly"}, actor=ACTOR)
    assert changed.next_scan_at is not None
    assert 0 <= (changed.next_scan_at - changed.updated_at).total_seconds() < 3600


def test_deleting_a_domain_deletes_its_scans() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    scan = make_scan(account.id, "acme.test")
    domains.delete(account.id, "acme.test", actor=ACTOR)
    with pytest.raises(NotFound):
        scans.find(account.id, scan.id)
    assert alerts.listing(account.id, alerts.AlertFilter()).page(None, 50)[0] == []


def network(account_id: object, name: str, *, of: object = None) -> ZoneNetwork:
    record = verification.challenge(of or account_id, name)  # type: ignore[arg-type]
    return ZoneNetwork(Zone({record.name: [record.value]}))


def test_record_of_the_account_verifies_a_domain() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    verified = verification.verify(
        account.id, "acme.test", network(account.id, "acme.test"), actor=ACTOR
    )
    assert verified.verified_at is not None


def test_record_of_another_account_does_not_verify() -> None:
    account, other = make_account(), make_account()
    make_domain(account.id, "acme.test")
    copied = network(account.id, "acme.test", of=other.id)
    assert verification.verify(account.id, "acme.test", copied, actor=ACTOR).verified_at is None


def test_domain_is_verified_for_one_account_only() -> None:
    for index, account in enumerate((make_account(), make_account())):
        make_domain(account.id, "acme.test")
        own = network(account.id, "acme.test")
        if index == 0:
            verification.verify(account.id, "acme.test", own, actor=ACTOR)
        else:
            with pytest.raises(Conflict):
                verification.verify(account.id, "acme.test", own, actor=ACTOR)


def test_dns_failure_is_reported_and_changes_no_verification() -> None:
    from app.errors import ServiceUnavailable

    account = make_account()
    make_domain(account.id, "acme.test")
    broken = ZoneNetwork(Zone({"_mp-challenge.acme.test": SERVFAIL}))
    with pytest.raises(ServiceUnavailable):
        verification.verify(account.id, "acme.test", broken, actor=ACTOR)


def test_events_resolve_the_alerts_of_a_deleted_domain() -> None:
    account_id = make_account().id
    domain = make_domain(account_id, "acme.test")
    draft = AlertDraft(
        type="spf.missing",
        subject=domain.name,
        severity=Severity.HIGH,
        title="title",
        message="message",
    )
    with transaction() as session:
        transitions.open_alert(session, domain, [draft], Sighting(datetime.now(UTC)))
    domains.delete(account_id, "acme.test", actor=ACTOR)
    rows, _ = feed.listing(account_id, 0).page(None, 50)
    assert [row.body["type"] for row in rows] == ["alert.opened", "alert.resolved"]
