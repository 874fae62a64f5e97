"""The email of a domain as its reports show it: flows and identities, grouped into sources."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, bindparam, or_, select
from sqlalchemy.orm import Session

from app.analysis.mail import sources
from app.analysis.mail.flow_index import FlowIndex
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Window
from app.analysis.mail.periods import hours as period_hours
from app.analysis.mail.sources import Context, Source, SourceReview
from app.analysis.mail.spf_paths import SpfPaths
from app.models import DmarcHour, DmarcReport, Domain, DomainState, SourceDecision
from app.models.reports import TRUSTED
from app.services.analytics import dmarc, flows
from app.services.core.caches import Cache
from app.services.rollups import cache


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
    known = _Known(state.last_results if state else {}, _decisions(session, domain))
    stamp = (
        cache.stamp(session, domain.id, window),
        state and state.updated_at,
        tuple(sorted(known.reviews.items())),
    )
    key = (domain.id, window, is_trusted_only)
    report = _cached.get(key, stamp)
    if report is None:
        is_limited = is_trusted_only and unverified_messages(session, domain.id, window) > 0
        same = (domain.id, window, is_limited)  # without unverified reports, all are trusted
        report = _cached.get(same, stamp) or _gather(
            session, _Mail(domain, window, is_limited), known
        )
        _cached.put(same, report, stamp)
        _cached.put(key, report, stamp)
    return replace(report, domain=domain)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about the domain besides its reports."""

    results: Mapping[str, Any]
    reviews: Mapping[str, SourceReview]


_TRUSTED = or_(DmarcHour.trusted, ~bindparam("is_trusted_only", type_=Boolean))
_UNVERIFIED = select(dmarc.sum_of(DmarcHour.messages)).where(*dmarc.IN_WINDOW, ~DmarcHour.trusted)
_REPORTED = select(DmarcHour.reporter, DmarcHour.hour).where(*dmarc.IN_WINDOW, _TRUSTED).distinct()
_HOURS = (
    select(DmarcHour.reporter, DmarcHour.hour, dmarc.sum_of(DmarcHour.messages))
    .where(*dmarc.IN_WINDOW, _TRUSTED)
    .group_by(DmarcHour.reporter, DmarcHour.hour)
)


def unverified_messages(session: Session, domain_id: UUID, window: Window) -> int:
    """Return the number of messages in unverified reports, in the caller's transaction."""
    return session.connection().scalar(_UNVERIFIED, _bounds(domain_id, window)) or 0


@dataclass(frozen=True, slots=True)
class _Mail:
    """The email to read: a domain, a window, and whether only trusted reports count."""

    domain: Domain
    window: Window
    is_trusted_only: bool


def _gather(session: Session, mail: _Mail, known: _Known) -> SendingReport:
    domain, window, results = mail.domain, mail.window, known.results
    read = flows.read(session, domain, window, is_trusted_only=mail.is_trusted_only)
    context = Context(
        domain=domain.name,
        org_domain=results.get("dmarc", {}).get("facts", {}).get("org_domain"),
        spf=SpfPaths.from_result(domain.name, results.get("spf")),
        selectors=results.get("dkim", {}).get("facts", {}).get("selectors", {}),
        hosts=read.hosts,
        reviews=known.reviews,
    )
    reported = _reported(session, mail)
    gathered = sources.gather(read.flows, read.identities, context)
    return SendingReport(
        domain=domain,
        window=window,
        sources=gathered,
        identities=read.identities,
        context=context,
        last_results=results,
        days=len({hour // 24 for _, hour in reported}),
        last_hour=max((hour for _, hour in reported), default=None),
        reporters=len({reporter for reporter, _ in reported}),
        flow_index=FlowIndex(
            domain=domain.name,
            sources=gathered,
            identities=read.identities,
            provenance=TRUSTED if mail.is_trusted_only else None,
        ),
        is_trusted_only=mail.is_trusted_only,
    )


def _reported(session: Session, mail: _Mail) -> Sequence[Any]:
    """The distinct (reporter, hour) of the window."""
    bounds = _bounds(mail.domain.id, mail.window, is_trusted_only=mail.is_trusted_only)
    return session.connection().execute(_REPORTED, bounds).all()


def _bounds(domain_id: UUID, window: Window, *, is_trusted_only: bool = False) -> dict[str, Any]:
    return {
        "domain_id": domain_id,
        "start": window.start,
        "stop": window.stop,
        "is_trusted_only": is_trusted_only,
    }


_DECISIONS = select(
    SourceDecision.source, SourceDecision.decision, SourceDecision.note, SourceDecision.actor
).where(SourceDecision.domain_id == bindparam("domain_id"))


def _decisions(session: Session, domain: Domain) -> dict[str, SourceReview]:
    rows = session.connection().execute(_DECISIONS, {"domain_id": domain.id})
    return {row.source: SourceReview(row.decision, row.note, row.actor) for row in rows}


def hours(
    session: Session, domain_id: UUID, window: Window, *, is_trusted_only: bool = False
) -> list[tuple[str, int, int]]:
    """Return (reporter, hour, messages) rows of the window, in the caller's transaction."""
    bounds = _bounds(domain_id, window, is_trusted_only=is_trusted_only)
    rows = session.connection().execute(_HOURS, bounds)
    return [(row[0], row[1], row[2]) for row in rows]


_MULTI_DAY = select(
    DmarcReport.reporter, DmarcReport.begin_at, DmarcReport.end_at, DmarcReport.days
).where(*dmarc.MULTI_DAY_REPORTS)


def inner_hours(session: Session, domain_id: UUID, window: Window) -> dict[str, set[int]]:
    """Return the hours, except the last, at which multi-day reports are counted, by reporter."""
    rows = session.connection().execute(_MULTI_DAY, dmarc.report_bounds(domain_id, window))
    by_reporter: dict[str, set[int]] = {}
    for reporter, begin_at, end_at, days in rows:
        by_reporter.setdefault(reporter, set()).update(period_hours(begin_at, end_at, days)[:-1])
    return by_reporter
