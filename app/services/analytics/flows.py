"""The flows of a domain in a window: the mail of each address with each identity.

The largest flows are listed one by one. The others, of which there can be a million, are added up
by identity, for the identities with the most messages; and the rest by what policies depend on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Integer, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from app.analysis.mail import identities
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Block, Window
from app.analysis.mail.sources import ELSEWHERE, Flow, Host
from app.db import bulk
from app.models import DmarcFlow, DmarcIdentity, Domain, ReporterCount, SenderHost
from app.services.analytics import dmarc

MAX_FLOWS = 3_000  # flows that are listed one by one
MAX_READ = 10_000  # flows that are read; of more, the database adds up those that are not listed
MAX_IDENTITIES = 2_000  # identities of other flows that are listed one by one
MAX_KNOWN = 10_000  # identities that a process caches


@dataclass(frozen=True, slots=True)
class DomainFlows:
    """The flows of a window, and what is known about their addresses and identities.

    identities  by number; a negative number combines many rare ones
    """

    flows: Sequence[Flow]
    identities: Mapping[int, Identity]
    hosts: Mapping[str, Host]


def read(session: Session, domain: Domain, window: Window, *, is_trusted_only: bool) -> DomainFlows:
    """Return the flows of the window, in the caller's transaction.

    is_trusted_only  leave out flows in unverified reports
    """
    blocks = dmarc.blocks(session, domain.id, window)
    query = _Query(session=session, domain=domain, blocks=blocks, is_trusted_only=is_trusted_only)
    flows = _flows(query)
    hosts = _hosts(session, {flow.source_ip for flow in flows} - {ELSEWHERE})
    by_number = _identities(session, domain.id, {flow.identity for flow in flows})
    if len(flows) >= MAX_FLOWS + MAX_IDENTITIES:
        rare_flows, rare_identities = _rare(query)
        flows, by_number = flows + rare_flows, by_number | rare_identities
    return DomainFlows(flows, by_number, hosts)


@dataclass(frozen=True, slots=True)
class _Query:
    """The flows to read."""

    session: Session
    domain: Domain
    blocks: Sequence[Block]
    is_trusted_only: bool

    def rows(self, statement: Any) -> Sequence[Any]:
        """The rows of a statement of ``_Parts``."""
        parameters = dmarc.block_parameters(self.domain.id, self.blocks)
        return self.session.connection().execute(statement, parameters).all()

    @property
    def parts(self) -> "_Parts":
        """The statements for this query."""
        return _parts(len(self.blocks), self.is_trusted_only, (MAX_READ, MAX_FLOWS))


def _flows(query: _Query) -> list[Flow]:
    """The largest flows, and then those of the most frequent identities of the others."""
    rows = query.rows(query.parts.listed)
    largest = list(map(Flow._make, rows[:MAX_FLOWS]))
    others = _summed(rows[MAX_FLOWS:]) if len(rows) < MAX_READ else query.rows(query.parts.others)
    order = sorted(others, key=lambda row: (-row[1], row[0]))
    return largest + [Flow(ELSEWHERE, *row) for row in order[:MAX_IDENTITIES]]


def _summed(rows: Iterable[Sequence[Any]]) -> list[tuple[int, int, int, int]]:
    """(identity, messages, first hour, last hour) of flows with the same identity."""
    sums: dict[int, tuple[int, int, int]] = {}
    for _, identity, messages, first, last in rows:
        if known := sums.get(identity):
            messages, first, last = known[0] + messages, min(known[1], first), max(known[2], last)
        sums[identity] = messages, first, last
    return [(identity, *values) for identity, values in sums.items()]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Statements for the flows of a window, with the parameters of ``dmarc.block_parameters``.

    listed  the largest flows, in the order of their messages
    others  the sums of all but the listed ones by identity, if there are more than MAX_READ
    rare    the same as ``others`` for the identities that are not listed, by attributes
    """

    listed: Select[*tuple[Any, ...]]
    others: Select[*tuple[Any, ...]]
    rare: Select[*tuple[Any, ...]]


@lru_cache(maxsize=64)  # building the statements takes longer than a small domain's query
def _parts(block_count: int, is_trusted_only: bool, limits: tuple[int, int]) -> _Parts:
    counts = dmarc.flow_counts(block_count)
    if is_trusted_only:
        counts = counts.where(counts.selected_columns.flow_id.in_(_trusted_flows()))
    most_read, most_listed = limits
    table = counts.cte("counts")
    order = (table.c.messages.desc(), table.c.flow_id)
    read = select(table).order_by(*order).limit(most_read).subquery("read")
    listed = (
        select(
            *(DmarcFlow.source_ip, DmarcFlow.identity_id, read.c.messages),
            *(DmarcFlow.first_hour, DmarcFlow.last_hour),
        )
        .join(DmarcFlow, DmarcFlow.id == read.c.flow_id)
        .where(DmarcFlow.domain_id == bindparam("domain_id"))
        .order_by(read.c.messages.desc(), read.c.flow_id)
    )
    largest = select(table.c.flow_id).order_by(*order).limit(most_listed)
    others = (
        select(
            DmarcFlow.identity_id,
            dmarc.sum_of(table.c.messages).label("messages"),
            func.min(DmarcFlow.first_hour).label("first_hour"),
            func.max(DmarcFlow.last_hour).label("last_hour"),
        )
        .join(DmarcFlow, DmarcFlow.id == table.c.flow_id)
        .where(DmarcFlow.domain_id == bindparam("domain_id"), table.c.flow_id.not_in(largest))
        .group_by(DmarcFlow.identity_id)
    )
    return _Parts(listed, others, _by_attributes(others.cte("others")))


def _by_attributes(others: CTE) -> Select[*tuple[Any, ...]]:
    """The sums of rare identities, by the attributes that policies depend on."""
    order = (others.c.messages.desc(), others.c.identity_id)
    common = select(others.c.identity_id).order_by(*order).limit(bindparam("most", type_=Integer))
    keys = (
        (DmarcIdentity.header_from == bindparam("name")).label("is_own"),
        *(DmarcIdentity.disposition, DmarcIdentity.dkim, DmarcIdentity.spf, DmarcIdentity.trusted),
    )
    return (
        select(
            *keys,
            dmarc.sum_of(others.c.messages),
            func.min(others.c.first_hour),
            func.max(others.c.last_hour),
        )
        .join(DmarcIdentity, DmarcIdentity.id == others.c.identity_id)
        .where(others.c.identity_id.not_in(common))
        .group_by(*keys)
    )


def _trusted_flows() -> Select[int]:
    """The ids of the flows in trusted reports."""
    return (
        select(DmarcFlow.id)
        .join(DmarcIdentity, DmarcIdentity.id == DmarcFlow.identity_id)
        .where(DmarcFlow.domain_id == bindparam("domain_id"), DmarcIdentity.trusted)
    )


def _rare(query: _Query) -> tuple[list[Flow], dict[int, Identity]]:
    """The flows beyond those of ``_flows``, summed by the attributes that policies depend on."""
    name = query.domain.name
    parameters = dmarc.block_parameters(query.domain.id, query.blocks)
    rows = query.session.execute(
        query.parts.rare, parameters | {"name": name, "most": MAX_IDENTITIES}
    )
    flows, by_number = [], {}
    for number, (is_own, disposition, dkim, spf, trusted, *sent) in enumerate(rows, 1):
        by_number[-number] = Identity(
            header_from=name if is_own else f"*.{name}",
            disposition=disposition,
            dkim=dkim,
            spf=spf,
            trusted=trusted,
        )
        flows.append(Flow(ELSEWHERE, -number, *sent))
    return flows, by_number


_known: dict[tuple[UUID, int], Identity] = {}  # a cache; identities never change


def _identities(session: Session, domain_id: UUID, numbers: Iterable[int]) -> dict[int, Identity]:
    requested = set(numbers)
    by_number = {n: cached for n in requested if (cached := _known.get((domain_id, n)))}
    for part in bulk.batched(requested - by_number.keys()):
        parameters = {"domain_id": domain_id, "numbers": part}
        rows = session.connection().execute(_IDENTITIES, parameters)
        fresh = {row.id: identities.from_row(row) for row in rows}
        if len(_known) > MAX_KNOWN:
            _known.clear()
        _known.update(((domain_id, number), identity) for number, identity in fresh.items())
        by_number |= fresh
    return by_number


_IDENTITIES = select(*DmarcIdentity.__table__.c).where(
    DmarcIdentity.domain_id == bindparam("domain_id"),
    DmarcIdentity.id.in_(bindparam("numbers", expanding=True)),
)


def _hosts(session: Session, addresses: Iterable[str]) -> dict[str, Host]:
    """What is known about these addresses."""
    connection = session.connection()
    statement = _known_hosts(connection.dialect.name)
    rows = [(address,) for address in sorted(addresses)]
    parameters = bulk.values_parameters(connection, ("address",), rows)
    return {row[0]: Host._make(row[1:]) for row in connection.execute(statement, parameters).all()}


@cache
def _known_hosts(dialect: str) -> Any:
    addresses = bulk.values_table(dialect, SenderHost, ("address",))
    columns = (SenderHost.name, SenderHost.asn, SenderHost.network, SenderHost.country)
    known = (SenderHost.name, SenderHost.asn, SenderHost.country)
    return select(SenderHost.address, *columns).where(
        SenderHost.address.in_(select(addresses.c.address)),
        or_(*(column.is_not(None) for column in known)),
    )


def by_reporter(
    session: Session, domain_id: UUID, window: Window, numbers: Sequence[int]
) -> Counter[str]:
    """Return the messages with these identities by reporter, in the caller's transaction."""
    messages_by_reporter = Counter[str]()
    if not numbers:
        return messages_by_reporter
    blocks = dmarc.blocks(session, domain_id, window)
    parameters = dmarc.block_parameters(domain_id, blocks)
    for part in bulk.batched(numbers):
        listed = parameters | {"numbers": part}
        for reporter, messages in session.connection().execute(_reported(len(blocks)), listed):
            messages_by_reporter[reporter] += messages
    return messages_by_reporter


@lru_cache(maxsize=64)
def _reported(block_count: int) -> Select[str, int]:
    columns = (ReporterCount.reporter, ReporterCount.identity_id, ReporterCount.messages)
    counts = dmarc.in_blocks(columns, block_count).subquery()
    return (
        select(counts.c.reporter, dmarc.sum_of(counts.c.messages))
        .where(counts.c.identity_id.in_(bindparam("numbers", expanding=True)))
        .group_by(counts.c.reporter)
    )
