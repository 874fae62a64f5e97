"""STARTTLS probes of mail hosts: each host once a day, for all the domains that it serves."""

import asyncio
import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import settings
from app.db import bulk, transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import MailHost
from app.models.stored_json import StoredTlsProbe
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory
from app.ports.smtp import TlsProbe, TlsProber
from app.services.core.leases import Lease, LeaseTable

PERIOD = timedelta(days=1)
LEASE_DURATION = timedelta(minutes=10)  # far more than BATCH_SIZE probes take
BATCH_SIZE = 100
RESULT_TTL = timedelta(days=3)  # older results are not used
UNUSED_RETENTION = timedelta(days=30)  # after the last scan that named the host

LEASES = LeaseTable(
    key=MailHost.name,
    until=MailHost.next_at,
    duration=lambda: LEASE_DURATION,
)


def schedule(session: Session, hosts: Iterable[str]) -> None:
    """Schedule probes of these hosts, in the caller's transaction, if STARTTLS_PROBES is on."""
    names = sorted(set(hosts))
    if not names or not settings.current().starttls_probes:
        return
    now = transactions.now(session)
    statement = bulk.insert(session, MailHost)
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"last_referenced_at": statement.excluded.last_referenced_at},
        ),
        [{"name": name, "last_referenced_at": now, "next_at": now} for name in names],
    )


def recent(session: Session, hosts: Iterable[str]) -> Mapping[str, TlsProbe] | None:
    """Return the recent probes of these hosts; None if STARTTLS_PROBES is off.

    It runs in the caller's transaction.
    """
    if not settings.current().starttls_probes:
        return None
    rows = session.execute(
        select(MailHost.name, MailHost.probed_at, MailHost.probe_result).where(
            MailHost.name.in_(set(hosts)),
            MailHost.probed_at > transactions.now(session) - RESULT_TTL,
        )
    )
    return {row.name: _loaded(row.probe_result, row.probed_at) for row in rows}


def enqueue_if_due() -> None:
    """Enqueue probes of the hosts that are due, and delete hosts that no domain names."""
    with transaction() as session:
        now = transactions.now(session)
        session.execute(
            delete(MailHost).where(MailHost.last_referenced_at < now - UNUSED_RETENTION)
        )
        is_due = session.scalar(select(MailHost.name).where(MailHost.next_at <= now).limit(1))
    if is_due is not None and settings.current().starttls_probes:
        queue.enqueue_probes()


def run(network: Network) -> int:
    """Probe a batch of hosts that are due, and return how many.

    effects  one transaction for the claim and one for the results; the network in between. A host
             that cannot be reached keeps its last result and is probed again after PERIOD
    """
    with transaction() as session:
        is_due = MailHost.next_at <= transactions.now(session)
        leases = LEASES.claim(session, is_due, order=(MailHost.next_at,), limit=BATCH_SIZE)
    if leases:
        hosts = [lease.key for lease in leases]
        probes = network.run(lambda new_session: _probe_all(hosts, new_session))
        _store(leases, probes)
    return len(leases)


async def _probe_all(hosts: Sequence[str], new_session: SessionFactory) -> dict[str, TlsProbe]:
    """Return the probes of the hosts that could be reached."""
    results = await asyncio.gather(*(_probe(host, new_session()) for host in hosts))
    return {host: probe for host, probe in zip(hosts, results, strict=True) if probe}


async def _probe(host: str, prober: TlsProber) -> TlsProbe | None:
    try:
        return await prober.probe_tls(host)
    except LookupFailed:
        return None


def _store(leases: Sequence[Lease[str]], probes: Mapping[str, TlsProbe]) -> None:
    with transaction() as session:
        now = transactions.now(session)
        for lease in leases:
            values: dict[str, object] = {"next_at": now + PERIOD}
            if lease.key in probes:
                values |= {"probed_at": now, "probe_result": _stored(probes[lease.key])}
            session.execute(update(MailHost).where(LEASES.is_held([lease])).values(values))


def _stored(probe: TlsProbe) -> StoredTlsProbe:
    return {
        "host": probe.host,
        "offers_tls": probe.offers_tls,
        "version": probe.version,
        "problem": probe.problem,
        "detail": probe.detail,
        "not_after": probe.not_after,
        "certificates": [base64.b64encode(der).decode() for der in probe.certificates],
        "has_complete_chain": probe.has_complete_chain,
    }


def _loaded(stored: StoredTlsProbe, probed_at: datetime | None) -> TlsProbe:
    return TlsProbe(
        host=stored["host"],
        offers_tls=stored["offers_tls"],
        version=stored["version"],
        problem=stored["problem"],
        detail=stored["detail"],
        not_after=stored["not_after"],
        certificates=tuple(map(base64.b64decode, stored.get("certificates", ()))),
        has_complete_chain=stored.get("has_complete_chain", False),
        probed_at=probed_at,
    )
