"""The reverse names and networks of the addresses that email comes from.

A row of ``sender_hosts`` is the job: the worker that holds its lease looks the address up once it
is due. A failed lookup changes nothing that is known, and is retried at growing intervals.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import maxminddb
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from app import settings
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.jobs import queue
from app.models import DmarcFlow, SenderHost
from app.ports.dns import LookupFailed, Resolver, or_failure
from app.ports.network import Network, SessionFactory
from app.services.core.leases import LeaseTable

logger = logging.getLogger(__name__)

LEASE_DURATION = timedelta(minutes=5)
BATCH_SIZE = 200  # addresses in a transaction, looked up concurrently
NEW_BATCH_SIZE = 5_000  # flows whose addresses are added
BATCHES = 20  # in one job; the clock enqueues another one for the rest
MAX_NAMES = 10  # of one address; receivers ignore more (RFC 7208 §4.6.4)
REFRESH_AFTER = timedelta(days=30)
RETRY_AFTER = (timedelta(minutes=15), timedelta(hours=2), timedelta(days=1))

LEASES = LeaseTable(
    key=SenderHost.address,
    until=SenderHost.lease_until,
    duration=lambda: LEASE_DURATION,
)

Status = Literal["confirmed", "mismatch", "none"]


@dataclass(frozen=True, slots=True)
class Reverse:
    """The reverse name of an address; ``name`` only if it resolves back to the address."""

    status: Status
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NetworkOwner:
    """The owner of an address according to GEOIP_DATABASE."""

    asn: int | None = None
    name: str | None = None
    country: str | None = None


def schedule_lookup(address: str) -> bool:
    """Schedule another lookup, and return False if no email came from the address."""
    with transaction() as session:
        host = session.get(SenderHost, address)
        if host is None:
            return False
        host.due_at = transactions.now(session)
        after_commit(session, queue.enqueue_reverse_dns)
        return True


def enqueue_if_due() -> int:
    """Add the addresses of new flows, enqueue a job if any is due, and return how many are."""
    with transaction() as session:
        _add_new(session)
        now = transactions.now(session)
        count = session.scalar(select(func.count()).where(*_due(session, now))) or 0
        if count:
            after_commit(session, queue.enqueue_reverse_dns)
    return count


def _due(session: Session, at: datetime) -> tuple[ColumnElement[bool], ...]:
    return LEASES.is_free(session, at), SenderHost.due_at <= at


def _claim() -> list[str]:
    with transaction() as session:
        is_due = SenderHost.due_at <= transactions.now(session)
        leases = LEASES.claim(session, is_due, order=(SenderHost.due_at,), limit=BATCH_SIZE)
        return [lease.key for lease in leases]


def _add_new(session: Session) -> None:
    rows = session.execute(
        select(DmarcFlow.id, DmarcFlow.source_ip)
        .where(DmarcFlow.is_new)
        .order_by(DmarcFlow.id)
        .limit(NEW_BATCH_SIZE)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        addresses = [{"address": address} for address in sorted({row.source_ip for row in rows})]
        session.execute(bulk.insert(session, SenderHost).on_conflict_do_nothing(), addresses)
        session.execute(
            update(DmarcFlow).where(DmarcFlow.id.in_([row.id for row in rows])).values(is_new=False)
        )


def look_up(network: Network, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Look up the addresses that are due, in batches, and return how many there were.

    effects  for each batch a transaction before and one after the lookups
    """
    count = 0
    for _ in range(BATCHES):
        if is_stopping() or not (claimed := _claim()):
            break
        _write(network.run(partial(_resolve, claimed)))
        count += len(claimed)
    return count


async def _resolve(
    addresses: Sequence[str], new_session: SessionFactory
) -> dict[str, Reverse | LookupFailed]:
    answers = await asyncio.gather(
        *(or_failure(reverse(address, new_session())) for address in addresses)
    )
    return dict(zip(addresses, answers, strict=True))


async def reverse(address: str, dns: Resolver) -> Reverse:
    """Return the reverse name of the address.

    raises  LookupFailed if no name resolves back and a lookup failed
    source  RFC 8601 §2.7.3 (iprev)
    """
    ip = ipaddress.ip_address(address)
    names = await dns.hosts(ip.reverse_pointer, "PTR")
    rdtype = "A" if ip.version == 4 else "AAAA"
    names_to_check = names[:MAX_NAMES]
    answers = await asyncio.gather(
        *(or_failure(dns.resolve(name, rdtype)) for name in names_to_check)
    )
    failures = []
    for name, answer in zip(names_to_check, answers, strict=True):
        if isinstance(answer, LookupFailed):
            failures.append(answer)
        elif any(ipaddress.ip_address(str(rdata)) == ip for rdata in answer.rdatas):
            return Reverse("confirmed", name)
    if failures:
        raise failures[0]
    return Reverse("mismatch" if names else "none")


def _write(results: dict[str, Reverse | LookupFailed]) -> None:
    networks = _networks(results)
    with transaction() as session:
        now = transactions.now(session)
        rows = session.scalars(
            select(SenderHost)
            .where(SenderHost.address.in_(results))
            .order_by(SenderHost.address)
            .with_for_update()
        )
        for host in rows:
            result = results[host.address]
            host.lease_until, host.looked_up_at = None, now
            if networks is not None:
                network = networks[host.address]
                host.asn, host.network, host.country = network.asn, network.name, network.country
            if isinstance(result, LookupFailed):
                host.lookup_failure = str(result)[:300]
                host.due_at = now + RETRY_AFTER[min(host.failures, len(RETRY_AFTER) - 1)]
                host.failures += 1
            else:
                host.status, host.name, host.lookup_failure = result.status, result.name, None
                host.due_at, host.failures = now + REFRESH_AFTER, 0


def _networks(addresses: Iterable[str]) -> dict[str, NetworkOwner] | None:
    """The owner of each address; None if the file cannot be read, so that the rows stay as is."""
    path = settings.current().geoip_database
    if path is None:
        return {address: NetworkOwner() for address in addresses}
    try:
        with maxminddb.open_database(path) as database:
            return {address: _network(_entry(database, address)) for address in addresses}
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        logger.warning("cannot open GEOIP_DATABASE", extra={"reason": str(error)})
        return None


def _entry(database: maxminddb.Reader, address: str) -> object:
    try:
        return database.get(address)
    except ValueError:  # the database has IPv4 only
        return None


def _network(record: object) -> NetworkOwner:
    """The owner in an entry of an ASN, City, Country or combined database."""
    if not isinstance(record, dict):
        return NetworkOwner()
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code")
    number = record.get("autonomous_system_number", record.get("asn"))
    if isinstance(number, str):
        number = int(number.upper().removeprefix("AS")) if number[2:].isdigit() else None
    name = record.get("autonomous_system_organization", record.get("as_name"))
    return NetworkOwner(
        asn=number if isinstance(number, int) else None,
        name=str(name)[:300] if name else None,
        country=str(code)[:2] if code else None,
    )
