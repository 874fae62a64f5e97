"""Connecting to mail hosts: each once a day, for all the domains that it serves."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import settings
from app.db import bulk, transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import MailHost
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory
from app.ports.smtp import TlsProbe

PERIOD = timedelta(days=1)
LEASE = timedelta(minutes=10)  # far more than so many sessions take
BATCH_SIZE = 100
RESULT_TTL = timedelta(days=3)  # what was seen longer ago is not judged
FORGOTTEN_AFTER = timedelta(days=30)  # no scan has named it


def note(session: Session, hosts: Iterable[str]) -> None:
    """Have these hosts connected to from now on; a step. Nothing is done unless it is wanted."""
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


def seen(session: Session, hosts: Iterable[str]) -> Mapping[str, TlsProbe] | None:
    """What was lately seen of these hosts; None where hosts are not connected to. A step."""
    if not settings.current().starttls_probes:
        return None
    rows = session.execute(
        select(MailHost.name, MailHost.probe_result).where(
            MailHost.name.in_(set(hosts)),
            MailHost.probed_at > transactions.now(session) - RESULT_TTL,
        )
    )
    return {row.name: TlsProbe(**row.probe_result) for row in rows}


def enqueue_if_due() -> None:
    """Enqueue probes of the hosts that are due, and delete hosts that no domain names."""
    with transaction() as session:
        now = transactions.now(session)
        session.execute(delete(MailHost).where(MailHost.last_referenced_at < now - FORGOTTEN_AFTER))
        is_due = session.scalar(select(MailHost.name).where(MailHost.next_at <= now).limit(1))
    if is_due is not None and settings.current().starttls_probes:
        queue.enqueue_probes()


def run(door: Network) -> int:
    """Connect to some of the hosts that are due.

    returns  how many
    effects  a transaction for the claim, one for what was seen; the network in between. A host
             that cannot be reached keeps what was seen of it, and has its next turn in a day
    """
    hosts = _claim()
    if hosts:
        found = door.run(lambda open_answers: _probe(hosts, open_answers))
        _store(hosts, found)
    return len(hosts)


def _claim() -> Sequence[str]:
    with transaction() as session:
        now = transactions.now(session)
        hosts = session.scalars(
            select(MailHost.name)
            .where(MailHost.next_at <= now)
            .order_by(MailHost.next_at, MailHost.name)
            .limit(BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(
            update(MailHost).where(MailHost.name.in_(hosts)).values(next_at=now + LEASE)
        )
    return hosts


async def _probe(hosts: Sequence[str], open_answers: SessionFactory) -> dict[str, TlsProbe]:
    async def one(host: str) -> TlsProbe | None:
        try:
            return await open_answers().probe_tls(host)
        except LookupFailed:
            return None

    heard = await asyncio.gather(*map(one, hosts))
    return {host: found for host, found in zip(hosts, heard, strict=True) if found}


def _store(hosts: Sequence[str], found: Mapping[str, TlsProbe]) -> None:
    with transaction() as session:
        now = transactions.now(session)
        for host in hosts:
            values: dict[str, object] = {"next_at": now + PERIOD}
            if host in found:
                values |= {"probed_at": now, "probe_result": found[host]._asdict()}
            session.execute(update(MailHost).where(MailHost.name == host).values(**values))
