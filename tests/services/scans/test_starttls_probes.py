"""Mail hosts: connected to once for all that use them, and what scans make of it."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import settings as app_settings
from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import MailHost
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory, T
from app.ports.smtp import TlsProbe
from app.services.scans import runner, scans, starttls_probes
from app.settings import Settings
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import Data, Zone, ZoneDoor

pytestmark = pytest.mark.usefixtures("database")

MX = "mx.shared.test"
ZONE: Data = {
    **{(name, "MX"): [f"10 {MX}"] for name in ("a.test", "b.test")},
    (MX, "A"): ["198.51.100.3"],
}


class Hosts(Zone):
    """DNS, and mail hosts that say this; others cannot be reached."""

    def __init__(self, *said: TlsProbe) -> None:
        super().__init__(ZONE)
        self.said = {each.host: each for each in said}
        self.connected: list[str] = []

    async def probe_tls(self, host: str) -> TlsProbe:
        self.connected.append(host)
        if host not in self.said:
            raise LookupFailed(host, "SMTP", "timeout")
        return self.said[host]


class HostsDoor(Network):
    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def run(self, main: Callable[[SessionFactory], Coroutine[Any, Any, T]]) -> T:
        return ZoneDoor(self._hosts).run(main)


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []

    def note(name: str) -> Callable[..., bool]:
        return lambda *_, **__: not rung.append(name)  # type: ignore[func-returns-value]

    monkeypatch.setattr(queue, "enqueue_scans", note("scans"))
    monkeypatch.setattr(queue, "enqueue_probes", note("probes"))
    return rung


@pytest.fixture
def account_id(settings: Settings) -> UUID:
    app_settings.use(settings.replace(starttls_probes=True))
    return make_account().id


def scanned(account_id: UUID, names: Sequence[str] = ("a.test", "b.test")) -> list[dict[str, Any]]:
    """What the check says of each, scanned now; the domains are made at the first time."""
    said = []
    for name in names:
        asked = make_scan(account_id, name)
        runner.run([asked.id], ZoneDoor(Zone(ZONE)))
        result = scans.find(account_id, asked.id).result or {}
        said += [check for check in result["checks"] if check["check"] == "starttls"]
    return said


def domains(account_id: UUID) -> None:
    for name in ("a.test", "b.test"):
        make_domain(account_id, name, schedule="off")


def test_a_host_of_two_domains_is_connected_to_once_a_day(account_id: UUID) -> None:
    domains(account_id)
    assert {found["verdict"] for found in scanned(account_id)} == {"undetermined"}
    hosts = Hosts(TlsProbe(MX, False))
    assert [starttls_probes.run(HostsDoor(hosts)), starttls_probes.run(HostsDoor(hosts))] == [1, 0]
    assert hosts.connected == [MX]
    codes = [found["code"] for check in scanned(account_id) for found in check["findings"]]
    assert codes == ["starttls.missing", "starttls.missing"]
    assert starttls_probes.run(HostsDoor(hosts)) == 0


def test_a_host_that_cannot_be_reached_is_no_finding_and_has_another_turn(
    account_id: UUID,
) -> None:
    domains(account_id)
    scanned(account_id)
    assert starttls_probes.run(HostsDoor(Hosts())) == 1
    assert {found["verdict"] for found in scanned(account_id)} == {"undetermined"}
    with transaction() as session:
        later = now(session) + starttls_probes.PERIOD - timedelta(minutes=1)
        assert session.scalar(select(MailHost.next_at)) > later  # type: ignore[operator]


def test_what_was_seen_long_ago_is_not_judged(account_id: UUID) -> None:
    domains(account_id)
    scanned(account_id)
    starttls_probes.run(HostsDoor(Hosts(TlsProbe(MX, False))))
    with transaction() as session:
        old = now(session) - starttls_probes.RESULT_TTL - timedelta(minutes=1)
        session.execute(update(MailHost).values(probed_at=old))
    assert {found["verdict"] for found in scanned(account_id)} == {"undetermined"}


def test_the_clock_rings_for_hosts_that_are_due_and_forgets_the_others(
    account_id: UUID, bells: list[str]
) -> None:
    starttls_probes.enqueue_if_due()
    assert "probes" not in bells
    domains(account_id)
    scanned(account_id)
    starttls_probes.enqueue_if_due()
    assert bells.count("probes") == 1
    with transaction() as session:
        old = now(session) - starttls_probes.UNUSED_RETENTION - timedelta(minutes=1)
        session.execute(update(MailHost).values(last_referenced_at=old))
    starttls_probes.enqueue_if_due()
    with transaction(readonly=True) as session:
        assert session.scalars(select(MailHost.name)).all() == []


def test_nobody_is_connected_to_unless_it_is_switched_on(
    account_id: UUID, settings: Settings
) -> None:
    app_settings.use(settings)
    domains(account_id)
    assert {found["verdict"] for found in scanned(account_id)} == {"info"}
    with transaction(readonly=True) as session:
        assert session.scalars(select(MailHost.name)).all() == []
