"""Reverse DNS and networks of sending addresses: lookups, retries and refreshes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.engine import Engine

from app import settings as app_settings
from app.db.transactions import now, transaction
from app.models import SenderHost
from app.ports.dns import LookupFailed
from app.services.analytics import sender_hosts
from app.services.analytics.sender_hosts import REFRESH_AFTER, RETRY_AFTER, Reverse
from app.services.monitoring import report_monitor
from app.settings import Settings
from tests.support import mmdb
from tests.support.factories import make_account, make_domain
from tests.support.stored_reports import Report, record, store
from tests.support.zones import SERVFAIL, TIMEOUT, Zone, ZoneNetwork

PTR = ("1.2.0.192.in-addr.arpa", "PTR")
NAMED: dict[Any, Any] = {PTR: ["mx.acme.test"], ("mx.acme.test", "A"): ["192.0.2.1"]}


@pytest.fixture
def domain(database: Engine) -> Any:
    return make_domain(make_account().id)


def add(*addresses: str) -> None:
    """Schedule lookups of the addresses."""
    with transaction() as session:
        session.add_all(SenderHost(address=address) for address in addresses)


def host(address: str = "192.0.2.1") -> SenderHost:
    with transaction(readonly=True) as session:
        return session.get_one(SenderHost, address)


def make_due() -> None:
    with transaction() as session:
        session.execute(update(SenderHost).values(due_at=now(session)))


def lookup_count(data: dict[Any, Any]) -> int:
    return sender_hosts.look_up(ZoneNetwork(Zone(data)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NAMED, Reverse("confirmed", "mx.acme.test")),
        ({}, Reverse("none")),
        ({PTR: ["mx.acme.test"], ("mx.acme.test", "A"): ["192.0.2.9"]}, Reverse("mismatch")),
        ({PTR: ["mx.acme.test"]}, Reverse("mismatch")),
        (
            {**NAMED, PTR: ["gone.acme.test", "mx.acme.test"], "gone.acme.test": SERVFAIL},
            Reverse("confirmed", "mx.acme.test"),
        ),
        (
            {
                PTR: [*(f"a{n}.acme.test" for n in range(10)), "mx.acme.test"],
                ("mx.acme.test", "A"): ["192.0.2.1"],
            },
            Reverse("mismatch"),
        ),  # the eleventh name
    ],
)
async def test_ptr_name_is_confirmed_by_its_address(
    data: dict[Any, Any], expected: Reverse
) -> None:
    assert await sender_hosts.reverse("192.0.2.1", Zone(data)) == expected


async def test_ipv6_address_is_confirmed_in_any_notation() -> None:
    pointer = ".".join(reversed("20010db8000000000000000000000001")) + ".ip6.arpa"
    data: dict[Any, Any] = {
        (pointer, "PTR"): ["mx.acme.test"],
        ("mx.acme.test", "AAAA"): ["2001:db8:0::1"],
    }
    result = await sender_hosts.reverse("2001:db8::1", Zone(data))
    assert result == Reverse("confirmed", "mx.acme.test")


@pytest.mark.parametrize(
    "data",
    [
        {PTR: TIMEOUT},
        {PTR: ["mx.acme.test"], ("mx.acme.test", "A"): SERVFAIL},
        {
            PTR: ["a.acme.test", "mx.acme.test"],
            ("a.acme.test", "A"): ["192.0.2.9"],
            ("mx.acme.test", "A"): SERVFAIL,
        },
    ],
)
async def test_failed_reverse_lookup_is_undetermined(data: dict[Any, Any]) -> None:
    with pytest.raises(LookupFailed):
        await sender_hosts.reverse("192.0.2.1", Zone(data))


def test_addresses_of_reports_are_looked_up_once(domain: Any) -> None:
    store(domain, Report([record("192.0.2.1"), record("192.0.2.2")]))
    store(make_domain(domain.account_id), Report([record("192.0.2.1")]))
    assert sender_hosts.enqueue_if_due() == 2
    assert lookup_count(NAMED) == 2
    assert (host().status, host().name) == ("confirmed", "mx.acme.test")
    assert (host("192.0.2.2").status, host("192.0.2.2").name) == ("none", None)
    assert sender_hosts.enqueue_if_due() == 0
    assert lookup_count(NAMED) == 0


def test_failed_lookup_keeps_the_name_and_is_retried_with_backoff(domain: Any) -> None:
    add("192.0.2.1")
    lookup_count(NAMED)
    waits = []
    for _ in range(4):
        make_due()
        assert lookup_count({PTR: SERVFAIL}) == 1
        row = host()
        assert (row.status, row.name) == ("confirmed", "mx.acme.test")
        assert row.lookup_failure is not None
        assert row.looked_up_at is not None
        waits.append(row.due_at - row.looked_up_at)
    assert waits == [*RETRY_AFTER, RETRY_AFTER[-1]]
    make_due()
    lookup_count({})
    assert (host().status, host().name, host().lookup_failure, host().failures) == (
        "none",
        None,
        None,
        0,
    )


def test_known_address_is_looked_up_again_after_a_month(domain: Any) -> None:
    add("192.0.2.1")
    lookup_count(NAMED)
    row = host()
    assert row.looked_up_at is not None
    assert row.due_at - row.looked_up_at == REFRESH_AFTER
    with transaction() as session:
        session.execute(update(SenderHost).values(due_at=now(session) - timedelta(seconds=1)))
    moved: dict[Any, Any] = {PTR: ["new.acme.test"], ("new.acme.test", "A"): ["192.0.2.1"]}
    assert lookup_count(moved) == 1
    assert host().name == "new.acme.test"


def test_user_can_schedule_an_immediate_lookup(domain: Any) -> None:
    add("192.0.2.1")
    lookup_count({})
    assert lookup_count(NAMED) == 0
    assert sender_hosts.schedule_lookup("192.0.2.1")
    assert lookup_count(NAMED) == 1
    assert host().name == "mx.acme.test"
    assert not sender_hosts.schedule_lookup("192.0.2.99")


def test_concurrent_workers_claim_different_addresses(
    domain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_hosts, "BATCH_SIZE", 3)
    addresses = [f"192.0.2.{n}" for n in range(40)]
    add(*addresses)

    def work(_: int) -> list[str]:
        taken: list[str] = []
        while batch := sender_hosts._claim():
            taken.extend(batch)
        return taken

    with ThreadPoolExecutor(4) as pool:
        claimed = [address for taken in pool.map(work, range(4)) for address in taken]
    assert sorted(claimed) == sorted(addresses)


def test_address_of_a_killed_worker_is_claimed_after_the_lease(domain: Any) -> None:
    add("192.0.2.1")
    assert sender_hosts._claim() == ["192.0.2.1"]
    assert sender_hosts._claim() == []
    with transaction() as session:
        over = now(session) - timedelta(seconds=1)
        session.execute(update(SenderHost).values(lease_until=over))
    assert lookup_count(NAMED) == 1
    assert host().lease_until is None


def test_stopping_worker_claims_no_addresses(domain: Any) -> None:
    add("192.0.2.1")
    assert sender_hosts.look_up(ZoneNetwork(Zone(NAMED)), is_stopping=lambda: True) == 0
    assert host().status == "new"


def test_claims_of_addresses_do_not_affect_report_monitors(domain: Any) -> None:
    add("192.0.2.1")
    assert report_monitor._claim() == []


@pytest.fixture
def use_file(settings: Settings, database: Engine) -> Callable[[Path], None]:
    """Return a function that configures the file."""
    return lambda path: app_settings.use(settings.replace(geoip_database=str(path)))


NETWORKS: dict[str, Any] = {
    "192.0.2.0/25": {
        "autonomous_system_number": 64500,
        "autonomous_system_organization": "Example Net",
    },
    "192.0.2.128/25": {"asn": "AS64501", "as_name": "Other Net", "country_code": "DE"},
    "198.51.100.0/24": {"country": {"iso_code": "FR"}},
    "203.0.113.0/24": {"asn": "ASnone", "country": "Spain"},
}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", (64500, "Example Net", None)),
        ("192.0.2.200", (64501, "Other Net", "DE")),
        ("198.51.100.7", (None, None, "FR")),
        ("203.0.113.1", (None, None, None)),
        ("233.252.0.1", (None, None, None)),  # in no network of the file
        ("2001:db8::1", (None, None, None)),  # which knows IPv4 only
    ],
)
def test_network_database_names_the_network_of_an_address(
    domain: Any, use_file: Any, tmp_path: Path, address: str, expected: tuple[Any, ...]
) -> None:
    use_file(mmdb.write(tmp_path / "networks.mmdb", NETWORKS))
    add(address)
    lookup_count({})
    row = host(address)
    assert (row.asn, row.network, row.country) == expected


@pytest.mark.parametrize("content", [None, b"", b"no database at all"])
def test_unreadable_network_database_does_not_stop_lookups_or_delete_data(
    domain: Any, use_file: Any, tmp_path: Path, content: bytes | None
) -> None:
    path = mmdb.write(tmp_path / "networks.mmdb", NETWORKS)
    use_file(path)
    add("192.0.2.1")
    lookup_count({})
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    make_due()
    assert lookup_count(NAMED) == 1
    assert (host().name, host().asn) == ("mx.acme.test", 64500)
