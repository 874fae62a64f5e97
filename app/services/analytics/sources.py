"""The sources that send as a domain according to reports, and how people classify them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Select, delete, func, literal, null, select, union_all
from sqlalchemy.orm import Session

from app.analysis.mail import identities, sources
from app.analysis.mail import reporters as reporting
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Window, hour_of
from app.analysis.mail.periods import hours as period_hours
from app.analysis.mail.record_query import FlowIndex
from app.analysis.mail.reporters import Reporter
from app.analysis.mail.sources import Context, Flow, Host, Source, SourceReview
from app.analysis.mail.spf_paths import SpfPaths
from app.db import bulk
from app.db.transactions import now, transaction
from app.errors import NotFound
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcReport,
    Domain,
    DomainState,
    SenderHost,
    SourceDecision,
)
from app.models.reports import TRUSTED
from app.services.analytics import cache, dmarc, rollup_queue
from app.services.analytics.cache import ResultCache
from app.services.core import audit_log, domain_lookup

MAX_FLOWS = 3_000  # flows that are read one by one
MAX_IDENTITIES = 2_000  # identities of other flows that are read one by one
MAX_KNOWN = 10_000  # identities that a process caches


@dataclass(frozen=True, slots=True)
class SendingReport:
    """The sources that sent as a domain in a window.

    identities       by number; a negative number combines many rare ones
    known            the last definite check results, by check
    days             number of days of the window with reports
    ledger           finds the records behind a figure
    is_trusted_only  whether unverified reports are left out
    """

    domain: Domain
    window: Window
    sources: Sequence[Source]
    identities: Mapping[int, Identity]
    context: Context
    existing: Mapping[str, Any]
    days: int
    reporters: int
    flow_index: FlowIndex
    is_trusted_only: bool = False

    @property
    def messages(self) -> int:
        """The number of messages of all sources."""
        return sum(source.messages for source in self.sources)


def search(account_id: UUID, ref: str, window: Window) -> SendingReport:
    """The sources that sent as the domain in the window, those with the most messages first.

    raises  NotFound
    """
    with rollup_queue.snapshot(account_id, ref) as (session, domain):
        return load(session, domain, window)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The reporters of a domain; gaps are UTC days, counted from the epoch."""

    domain: Domain
    reporters: Sequence[Reporter]
    gaps: Sequence[tuple[int, int]]


def coverage(account_id: UUID, ref: str, window: Window) -> Coverage:
    """The reporters of the window, those with the most messages first.

    raises  NotFound
    """
    with rollup_queue.snapshot(account_id, ref) as (session, domain):
        rows = hours(session, domain.id, window)
        end = min(window.stop, hour_of(now(session)))
        within = inner_hours(session, domain.id, window)
    return Coverage(
        domain,
        reporting.reporters(rows, end, within),
        reporting.gaps(hour for _, hour, _ in rows),
    )


def decide(
    account_id: UUID, ref: str, source: str, state: str | None, *, note: str | None, actor: str
) -> None:
    """Classify a source as approved, ignored or blocked; None resets the classification.

    raises  NotFound if the domain is not in the account, or the source never sent as it
    """
    rollup_queue.pending_count(domain_lookup.find(account_id, ref).id)
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref)
        if state is None:
            session.execute(
                delete(SourceDecision).where(
                    SourceDecision.domain_id == domain.id, SourceDecision.source == source
                )
            )
        else:
            _expect_source(session, domain, source)
            values = {"decision": state, "note": note, "actor": actor, "at": now(session)}
            session.execute(
                bulk.insert(session, SourceDecision)
                .values(domain_id=domain.id, source=source, **values)
                .on_conflict_do_update(index_elements=["domain_id", "source"], set_=values)
            )
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="source.decided",
            target=domain.name,
            source=source,
            state=state,
            note=note,
        )


def _expect_source(session: Session, domain: Domain, source: str) -> None:
    first, last = session.execute(
        select(func.min(DmarcFlow.first_hour), func.max(DmarcFlow.last_hour)).where(
            DmarcFlow.domain_id == domain.id
        )
    ).one()
    everything = load(session, domain, Window(first or 0, (last or 0) + 1))
    keys = {row.key for row in everything.sources}
    keys |= {f"ip:{address}" for row in everything.sources for address in row.addresses}
    if source not in keys:
        raise NotFound


_cached = ResultCache[SendingReport]()


def load(
    session: Session, domain: Domain, window: Window, *, is_trusted_only: bool = False
) -> SendingReport:
    """As ``search``, as a step. It is not to be changed: others are given the same.

    is_trusted_only  leave out what only unverified reports say, which anyone can have sent

    What was found lately is found again only if reports were counted in the window since, a scan
    knows other things or a user has classified a source. Of reverse names and of what
    came before or after the window it may be ``kept.SECONDS`` old.
    """
    state = session.get(DomainState, domain.id)
    states = _decisions(session, domain)
    stamp = (
        cache.stamp(session, domain.id, window),
        state and state.updated_at,
        tuple(sorted(states.items())),
    )
    question = (domain.id, window, is_trusted_only)
    if found := _cached.get(question, stamp):
        return replace(found, domain=domain)
    if is_trusted_only and not unverified_messages(session, domain.id, window):
        sending = load(session, domain, window)  # it is the same
        _cached.put(question, stamp, sending)
        return sending
    mail = _Mail(domain, window, is_trusted_only)
    sending = _gathered(session, mail, state.last_results if state else {}, states)
    _cached.put(question, stamp, sending)
    return sending


def unverified_messages(session: Session, domain_id: UUID, window: Window) -> int:
    """The number of messages of the window in unverified reports; in the caller's transaction."""
    statement = select(dmarc.sum_of(DmarcHour.messages)).where(
        DmarcHour.domain_id == domain_id,
        DmarcHour.hour >= window.start,
        DmarcHour.hour < window.stop,
        ~DmarcHour.trusted,
    )
    return session.scalar(statement) or 0


@dataclass(frozen=True, slots=True)
class _Mail:
    """The email to read: a domain, a window, and whether only trusted reports count."""

    domain: Domain
    window: Window
    is_trusted_only: bool


def _gathered(
    session: Session, mail: _Mail, known: Mapping[str, Any], states: Mapping[str, SourceReview]
) -> SendingReport:
    domain, window = mail.domain, mail.window
    flows, hosts = _flows(session, mail)
    by_number = _identities(session, domain.id, {flow.identity for flow in flows})
    if len(flows) >= MAX_FLOWS + MAX_IDENTITIES:
        rare_flows, rare_identities = _remaining(session, mail)
        flows, by_number = flows + rare_flows, by_number | rare_identities
    context = Context(
        domain=domain.name,
        walked=known.get("dmarc", {}).get("facts", {}).get("org_domain"),
        spf=SpfPaths.known(domain.name, known.get("spf")),
        hosts=hosts,
        states=states,
    )
    reported_hours = hours(session, domain.id, window, is_trusted_only=mail.is_trusted_only)
    gathered = sources.gather(flows, by_number, context)
    return SendingReport(
        domain,
        window,
        gathered,
        by_number,
        context,
        known,
        days=len({hour // 24 for _, hour, _ in reported_hours}),
        reporters=len({reporter for reporter, *_ in reported_hours}),
        flow_index=FlowIndex(
            domain.name, gathered, by_number, TRUSTED if mail.is_trusted_only else None
        ),
        is_trusted_only=mail.is_trusted_only,
    )


_known: dict[tuple[UUID, int], Identity] = {}  # a cache; identities never change


def _identities(session: Session, domain_id: UUID, numbers: Iterable[int]) -> dict[int, Identity]:
    requested = set(numbers)
    by_number = {n: cached for n in requested if (cached := _known.get((domain_id, n)))}
    for part in bulk.batched(requested - by_number.keys()):
        rows = session.execute(
            select(*DmarcIdentity.__table__.c).where(
                DmarcIdentity.domain_id == domain_id, DmarcIdentity.id.in_(part)
            )
        )
        fresh = {row.id: identities.from_row(row) for row in rows}
        if len(_known) > MAX_KNOWN:
            _known.clear()
        _known.update(((domain_id, number), identity) for number, identity in fresh.items())
        by_number |= fresh
    return by_number


def _flows(session: Session, mail: _Mail) -> tuple[list[Flow], dict[str, Host]]:
    """The flows of the window, and what is known about their addresses.

    The largest flows are read one by one. The rest, up to a million, are summed by identity, for
    the identities with the most messages.
    """
    parts = _parts(session, mail)
    flow = (DmarcFlow.source_ip, DmarcFlow.identity_id, parts.largest.c.messages)
    host = (SenderHost.name, SenderHost.asn, SenderHost.network, SenderHost.country)
    one_by_one = (
        select(*flow, DmarcFlow.first_hour, DmarcFlow.last_hour, *host)
        .join(DmarcFlow, DmarcFlow.id == parts.largest.c.flow_id)
        .outerjoin(SenderHost, SenderHost.address == DmarcFlow.source_ip)
        .where(DmarcFlow.domain_id == mail.domain.id)
    )
    no_host = (null(), null(), null(), null())
    together = select(literal(sources.ELSEWHERE), *parts.told.c, *no_host)
    rows = session.connection().execute(union_all(one_by_one, together)).all()  # plain: thousands
    flows = [Flow._make(row[:5]) for row in rows]
    hosts = {row[0]: Host._make(row[5:]) for row in rows if row[5] or row[6] or row[8]}
    return flows, hosts


@dataclass(frozen=True, slots=True)
class _Parts:
    """The flows of a window as parts of a statement.

    largest  flow_id and messages of the largest flows
    told     identity_id, messages, first and last hour of the other flows by identity, for the
             identities with the most messages
    left     the same for the identities that are not in ``told``
    """

    largest: CTE
    told: CTE
    left: Select[Any]


def _parts(session: Session, mail: _Mail) -> _Parts:
    domain_id = mail.domain.id
    flow_counts = dmarc.flow_counts(session, domain_id, mail.window)
    if mail.is_trusted_only:
        flow_counts = flow_counts.where(
            flow_counts.selected_columns.flow_id.in_(_trusted_flows(domain_id))
        )
    counts = flow_counts.cte("counts")
    largest = (
        select(counts).order_by(counts.c.messages.desc(), counts.c.flow_id).limit(MAX_FLOWS)
    ).cte("largest")
    others = (
        select(
            DmarcFlow.identity_id,
            dmarc.sum_of(counts.c.messages).label("messages"),
            func.min(DmarcFlow.first_hour).label("first_hour"),
            func.max(DmarcFlow.last_hour).label("last_hour"),
        )
        .join(DmarcFlow, DmarcFlow.id == counts.c.flow_id)
        .where(DmarcFlow.domain_id == domain_id, counts.c.flow_id.not_in(select(largest.c.flow_id)))
        .group_by(DmarcFlow.identity_id)
    ).cte("others")
    order = (others.c.messages.desc(), others.c.identity_id)
    told = select(others).order_by(*order).limit(MAX_IDENTITIES).cte("told")
    left = select(others).where(others.c.identity_id.not_in(select(told.c.identity_id)))
    return _Parts(largest, told, left)


def _trusted_flows(domain_id: UUID) -> Select[int]:
    """The ids of the flows in trusted reports."""
    return (
        select(DmarcFlow.id)
        .join(DmarcIdentity, DmarcIdentity.id == DmarcFlow.identity_id)
        .where(DmarcFlow.domain_id == domain_id, DmarcIdentity.trusted)
    )


def _remaining(session: Session, mail: _Mail) -> tuple[list[Flow], dict[int, Identity]]:
    """The flows beyond those of ``_flows``, summed by the attributes that policies depend on."""
    domain, rare = mail.domain, _parts(session, mail).left.subquery()
    is_own = (DmarcIdentity.header_from == domain.name).label("is_own")
    keys = (
        is_own,
        DmarcIdentity.disposition,
        DmarcIdentity.dkim,
        DmarcIdentity.spf,
        DmarcIdentity.trusted,
    )
    rows = session.execute(
        select(
            *keys,
            dmarc.sum_of(rare.c.messages),
            func.min(rare.c.first_hour),
            func.max(rare.c.last_hour),
        )
        .join(DmarcIdentity, DmarcIdentity.id == rare.c.identity_id)
        .group_by(*keys)
    )
    flows, by_number = [], {}
    for number, (own, disposition, dkim, spf, trusted, *sent) in enumerate(rows, 1):
        author = domain.name if own else f"*.{domain.name}"
        by_number[-number] = Identity(author, disposition, dkim, spf, trusted)
        flows.append(Flow(sources.ELSEWHERE, -number, *sent))
    return flows, by_number


def _decisions(session: Session, domain: Domain) -> dict[str, SourceReview]:
    rows = session.scalars(select(SourceDecision).where(SourceDecision.domain_id == domain.id))
    return {row.source: SourceReview(row.decision, row.note, row.actor) for row in rows}


def hours(
    session: Session, domain_id: UUID, window: Window, *, is_trusted_only: bool = False
) -> list[tuple[str, int, int]]:
    """(reporter, hour, messages) rows of the window, in the caller's transaction."""
    rows = session.execute(
        select(DmarcHour.reporter, DmarcHour.hour, dmarc.sum_of(DmarcHour.messages))
        .where(
            DmarcHour.domain_id == domain_id,
            DmarcHour.hour >= window.start,
            DmarcHour.hour < window.stop,
            *([DmarcHour.trusted] if is_trusted_only else []),
        )
        .group_by(DmarcHour.reporter, DmarcHour.hour)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def inner_hours(session: Session, domain_id: UUID, window: Window) -> dict[str, set[int]]:
    """The hours, except the last, at which multi-day reports are counted, by reporter."""
    rows = session.execute(
        select(
            DmarcReport.reporter, DmarcReport.begin_at, DmarcReport.end_at, DmarcReport.days
        ).where(*dmarc.multi_day_reports(domain_id, window))
    )
    by_reporter: dict[str, set[int]] = {}
    for reporter, begin_at, end_at, days in rows:
        by_reporter.setdefault(reporter, set()).update(period_hours(begin_at, end_at, days)[:-1])
    return by_reporter
