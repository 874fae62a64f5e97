"""The email of a domain as its reports show it: flows and identities, grouped into sources."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Select, func, literal, null, select, union_all
from sqlalchemy.orm import Session

from app.analysis.mail import identities, sources
from app.analysis.mail.flow_index import FlowIndex
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Window
from app.analysis.mail.periods import hours as period_hours
from app.analysis.mail.sources import Context, Flow, Host, Source, SourceReview
from app.analysis.mail.spf_paths import SpfPaths
from app.db import bulk
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
from app.services.analytics import dmarc
from app.services.core.caches import Cache
from app.services.rollups import cache

MAX_FLOWS = 3_000  # flows that are read one by one
MAX_IDENTITIES = 2_000  # identities of other flows that are read one by one
MAX_KNOWN = 10_000  # identities that a process caches


@dataclass(frozen=True, slots=True)
class SendingReport:
    """The sources that sent as a domain in a window, those with the most messages first.

    identities       by number; a negative number combines many rare ones
    last_results     the last conclusive check results, by check
    days             the number of days of the window with reports
    last_hour        the last hour with messages; None without reports
    flow_index       finds the records behind a figure
    is_trusted_only  whether unverified reports are left out
    """

    domain: Domain
    window: Window
    sources: Sequence[Source]
    identities: Mapping[int, Identity]
    context: Context
    last_results: Mapping[str, Any]
    days: int
    last_hour: int | None
    reporters: int
    flow_index: FlowIndex
    is_trusted_only: bool = False

    @property
    def messages(self) -> int:
        """The number of messages of all sources."""
        return sum(source.messages for source in self.sources)


_cached = Cache[Hashable, SendingReport](cache.MAX_ENTRIES, cache.lifetime)


def load(
    session: Session, domain: Domain, window: Window, *, is_trusted_only: bool = False
) -> SendingReport:
    """Return the email of the window, in the caller's transaction.

    is_trusted_only  leave out unverified reports, which anyone can send

    The result is cached and shared, so callers must not change it. It is read again if reports of
    the window were rolled up since, or a scan or a user changed what is known about the domain.
    Reverse names, and the first and last hours of sources, may be ``cache.LIFETIME_SECONDS`` old.
    """
    state = session.get(DomainState, domain.id)
    reviews = _decisions(session, domain)
    stamp = (
        cache.stamp(session, domain.id, window),
        state and state.updated_at,
        tuple(sorted(reviews.items())),
    )
    key = (domain.id, window, is_trusted_only)
    if cached := _cached.get(key, stamp):
        return replace(cached, domain=domain)
    if is_trusted_only and not unverified_messages(session, domain.id, window):
        report = load(session, domain, window)  # all reports are trusted
    else:
        mail = _Mail(domain, window, is_trusted_only)
        report = _gather(session, mail, state.last_results if state else {}, reviews)
    _cached.put(key, report, stamp)
    return report


def unverified_messages(session: Session, domain_id: UUID, window: Window) -> int:
    """Return the number of messages in unverified reports, in the caller's transaction."""
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


def _gather(
    session: Session,
    mail: _Mail,
    results: Mapping[str, Any],
    reviews: Mapping[str, SourceReview],
) -> SendingReport:
    domain, window = mail.domain, mail.window
    flows, hosts = _flows(session, mail)
    by_number = _identities(session, domain.id, {flow.identity for flow in flows})
    if len(flows) >= MAX_FLOWS + MAX_IDENTITIES:
        rare_flows, rare_identities = _remaining(session, mail)
        flows, by_number = flows + rare_flows, by_number | rare_identities
    context = Context(
        domain=domain.name,
        org_domain=results.get("dmarc", {}).get("facts", {}).get("org_domain"),
        spf=SpfPaths.from_result(domain.name, results.get("spf")),
        selectors=results.get("dkim", {}).get("facts", {}).get("selectors", {}),
        hosts=hosts,
        reviews=reviews,
    )
    reported_hours = hours(session, domain.id, window, is_trusted_only=mail.is_trusted_only)
    gathered = sources.gather(flows, by_number, context)
    return SendingReport(
        domain=domain,
        window=window,
        sources=gathered,
        identities=by_number,
        context=context,
        last_results=results,
        days=len({hour // 24 for _, hour, _ in reported_hours}),
        last_hour=max((hour for _, hour, _ in reported_hours), default=None),
        reporters=len({reporter for reporter, *_ in reported_hours}),
        flow_index=FlowIndex(
            domain=domain.name,
            sources=gathered,
            identities=by_number,
            provenance=TRUSTED if mail.is_trusted_only else None,
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
    together = select(literal(sources.ELSEWHERE), *parts.common.c, *no_host)
    rows = session.connection().execute(union_all(one_by_one, together)).all()  # plain: thousands
    flows = [Flow._make(row[:5]) for row in rows]
    hosts = {row[0]: Host._make(row[5:]) for row in rows if row[5] or row[6] or row[8]}
    return flows, hosts


@dataclass(frozen=True, slots=True)
class _Parts:
    """The flows of a window as parts of a statement.

    largest  flow_id and messages of the largest flows
    common   identity_id, messages, first and last hour of the other flows by identity, for the
             identities with the most messages
    rare     the same for the identities that are not in ``common``
    """

    largest: CTE
    common: CTE
    rare: Select[Any]


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
    common = select(others).order_by(*order).limit(MAX_IDENTITIES).cte("common")
    rare = select(others).where(others.c.identity_id.not_in(select(common.c.identity_id)))
    return _Parts(largest, common, rare)


def _trusted_flows(domain_id: UUID) -> Select[int]:
    """The ids of the flows in trusted reports."""
    return (
        select(DmarcFlow.id)
        .join(DmarcIdentity, DmarcIdentity.id == DmarcFlow.identity_id)
        .where(DmarcFlow.domain_id == domain_id, DmarcIdentity.trusted)
    )


def _remaining(session: Session, mail: _Mail) -> tuple[list[Flow], dict[int, Identity]]:
    """The flows beyond those of ``_flows``, summed by the attributes that policies depend on."""
    domain, rare = mail.domain, _parts(session, mail).rare.subquery()
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
        by_number[-number] = Identity(
            header_from=author, disposition=disposition, dkim=dkim, spf=spf, trusted=trusted
        )
        flows.append(Flow(sources.ELSEWHERE, -number, *sent))
    return flows, by_number


def _decisions(session: Session, domain: Domain) -> dict[str, SourceReview]:
    rows = session.scalars(select(SourceDecision).where(SourceDecision.domain_id == domain.id))
    return {row.source: SourceReview(row.decision, row.note, row.actor) for row in rows}


def hours(
    session: Session, domain_id: UUID, window: Window, *, is_trusted_only: bool = False
) -> list[tuple[str, int, int]]:
    """Return (reporter, hour, messages) rows of the window, in the caller's transaction."""
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
    """Return the hours, except the last, at which multi-day reports are counted, by reporter."""
    rows = session.execute(
        select(
            DmarcReport.reporter, DmarcReport.begin_at, DmarcReport.end_at, DmarcReport.days
        ).where(*dmarc.multi_day_reports(domain_id, window))
    )
    by_reporter: dict[str, set[int]] = {}
    for reporter, begin_at, end_at, days in rows:
        by_reporter.setdefault(reporter, set()).update(period_hours(begin_at, end_at, days)[:-1])
    return by_reporter
