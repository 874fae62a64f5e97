"""Each mail host is probed once for all domains, and scans use the result."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import settings as app_settings
from app.checks.engine.stored_results import StoredCheck
from app.db.transactions import now, transaction
from app.jobs import queue
from app.models import MailHost
from app.ports.dns import LookupFailed
from app.ports.smtp import TlsProbe
from app.services.scans import runner, scans, starttls_probes
from app.settings import Settings
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import Data, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

MX = "mx.shared.test"
ZONE: Data = {
    **{(name, "MX"): [f"10 {MX}"] for name in ("a.test", "b.test")},
    (MX, "A"): ["198.51.100.3"],
}


class Hosts(Zone):
    """DNS, and mail hosts with these probe results; other hosts are unreachable."""

    def __init__(self, *probes: TlsProbe) -> None:
        super().__init__(ZONE)
        self.probes = {probe.host: probe for probe in probes}
        self.connected: list[str] = []

    async def probe_tls(self, host: str) -> TlsProbe:
        self.connected.append(host)
        if host not in self.probes:
            raise LookupFailed(host, "SMTP", "timeout")
        return self.probes[host]


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def note(name: str) -> Callable[..., bool]:
        return lambda *_, **__: not names.append(name)  # type: ignore[func-returns-value]

    monkeypatch.setattr(queue, "enqueue_scans", note("scans"))
    monkeypatch.setattr(queue, "enqueue_probes", note("probes"))
    return names


@pytest.fixture
def account_id(settings: Settings) -> UUID:
    app_settings.use(settings.replace(starttls_probes=True))
    return make_account().id


def starttls_checks(
    account_id: UUID, names: Sequence[str] = ("a.test", "b.test")
) -> list[StoredCheck]:
    """Scan each domain and return the results of the check ``starttls``."""
    checks: list[StoredCheck] = []
    for name in names:
        scan = make_scan(account_id, name)
        runner.run([scan.id], ZoneNetwork(Zone(ZONE)))
        result = scans.find(account_id, scan.id).result
        assert result is not None
        checks += [check for check in result["checks"] if check["check"] == "starttls"]
    return checks


def domains(account_id: UUID) -> None:
    for name in ("a.test", "b.test"):
        make_domain(account_id, name, schedule="off")


def test_host_of_two_domains_is_probed_once_a_day(account_id: UUID) -> None:
    domains(account_id)
    assert {check["verdict"] for check in starttls_checks(account_id)} == {"undetermined"}
    hosts = Hosts(TlsProbe(MX, False))
    assert [starttls_probes.run(ZoneNetwork(hosts)), starttls_probes.run(ZoneNetwork(hosts))] == [
        1,
        0,
    ]
    assert hosts.connected == [MX]
    codes = [
        finding["code"] for check in starttls_checks(account_id) for finding in check["findings"]
    ]
    assert codes == ["starttls.missing", "starttls.missing"]
    assert starttls_probes.run(ZoneNetwork(hosts)) == 0


def test_unreachable_host_has_no_finding_and_is_probed_later(
    account_id: UUID,
) -> None:
    domains(account_id)
    starttls_checks(account_id)
    assert starttls_probes.run(ZoneNetwork(Hosts())) == 1
    assert {check["verdict"] for check in starttls_checks(account_id)} == {"undetermined"}
    with transaction() as session:
        later = now(session) + starttls_probes.PERIOD - timedelta(minutes=1)
        assert session.scalar(select(MailHost.next_at)) > later  # type: ignore[operator]


def test_expired_probe_result_is_not_used(account_id: UUID) -> None:
    domains(account_id)
    starttls_checks(account_id)
    starttls_probes.run(ZoneNetwork(Hosts(TlsProbe(MX, False))))
    with transaction() as session:
        old = now(session) - starttls_probes.RESULT_TTL - timedelta(minutes=1)
        session.execute(update(MailHost).values(probed_at=old))
    assert {check["verdict"] for check in starttls_checks(account_id)} == {"undetermined"}


def test_clock_enqueues_probes_of_due_hosts_and_deletes_unused_hosts(
    account_id: UUID, enqueued: list[str]
) -> None:
    starttls_probes.enqueue_if_due()
    assert "probes" not in enqueued
    domains(account_id)
    starttls_checks(account_id)
    starttls_probes.enqueue_if_due()
    assert enqueued.count("probes") == 1
    with transaction() as session:
        old = now(session) - starttls_probes.UNUSED_RETENTION - timedelta(minutes=1)
        session.execute(update(MailHost).values(last_referenced_at=old))
    starttls_probes.enqueue_if_due()
    with transaction(readonly=True) as session:
        assert session.scalars(select(MailHost.name)).all() == []


def test_no_host_is_probed_unless_probes_are_enabled(account_id: UUID, settings: Settings) -> None:
    app_settings.use(settings)
    domains(account_id)
    assert {check["verdict"] for check in starttls_checks(account_id)} == {"info"}
    with transaction(readonly=True) as session:
        assert session.scalars(select(MailHost.name)).all() == []


def test_certificates_of_a_probe_are_stored_for_the_scans_of_its_domains(account_id: UUID) -> None:
    domains(account_id)
    starttls_checks(account_id)
    probe = TlsProbe(MX, True, "TLSv1.3", certificates=(b"der", b"ca"), has_complete_chain=True)
    starttls_probes.run(ZoneNetwork(Hosts(probe)))
    with transaction() as session:
        recent = starttls_probes.recent(session, [MX])
    assert recent is not None
    assert recent[MX].probed_at is not None
    assert recent[MX]._replace(probed_at=None) == probe


def test_probe_that_was_stored_without_certificates_is_read(account_id: UUID) -> None:
    domains(account_id)
    starttls_checks(account_id)
    starttls_probes.run(ZoneNetwork(Hosts(TlsProbe(MX, True, "TLSv1.3"))))
    with transaction() as session:
        [host] = session.scalars(select(MailHost))
        assert host.probe_result is not None
        stored = host.probe_result.copy()
        del stored["certificates"], stored["has_complete_chain"]
        host.probe_result = stored
    with transaction() as session:
        recent = starttls_probes.recent(session, [MX])
    assert recent is not None
    assert (recent[MX].certificates, recent[MX].has_complete_chain) == ((), False)
