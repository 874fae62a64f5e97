"""The sources that send as a domain, how users classify them, and the reporters of a domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.analysis.mail import reporters, source_details
from app.analysis.mail.periods import Window, at, hour_of
from app.analysis.mail.reporters import DAY, Reporter
from app.analysis.mail.source_details import PublishedUse, SourceDetail, SourceTotals
from app.db import bulk
from app.db.transactions import now, transaction
from app.errors import NotFound
from app.models import DmarcFlow, DmarcReport, Domain, SourceDecision
from app.services.analytics import sending
from app.services.analytics.sending import SendingReport
from app.services.audit import audit_log
from app.services.core import domain_lookup
from app.services.rollups import partial_reports, rollup_queue

MAX_SOURCES = 100  # listed one by one, unless a caller requests another number
MAX_PARTS = 10  # addresses, signatures and the like that are listed for a source


@dataclass(frozen=True, slots=True)
class SourceList:
    """The sources with the most messages, with the records behind their figures.

    other  the sums of the sources beyond the limit
    """

    sources: Sequence[SourceDetail]
    other: SourceTotals


@dataclass(frozen=True, slots=True)
class SourceAnalytics:
    """The sources of a domain in a window, and the use of what the domain publishes.

    days             the number of days with reports
    pending_reports  stored reports that are not in these figures yet
    partial_reports  reports with records that could not be read
    """

    domain: Domain
    window: Window
    pending_reports: int
    partial_reports: int
    messages: int
    days: int
    reporters: int
    listed: SourceList
    published_use: PublishedUse


@dataclass(frozen=True, slots=True)
class Coverage:
    """The reporters of a domain, the most messages first.

    gaps             ranges of UTC days without reports, as numbers from the epoch, the end excluded
    pending_reports  stored reports that are not in these figures yet
    partial_reports  reports with records that could not be read
    """

    domain: Domain
    window: Window
    pending_reports: int
    partial_reports: int
    reporters: Sequence[Reporter]
    gaps: Sequence[tuple[int, int]]

    @property
    def gap_times(self) -> Sequence[tuple[datetime, datetime]]:
        """The gaps as times."""
        return [(at(start * DAY), at(end * DAY)) for start, end in self.gaps]


@dataclass(frozen=True, slots=True)
class ManualClassification:
    """A user's classification of a source.

    decision  approved, ignored or blocked; None resets the classification
    """

    source: str
    decision: str | None
    note: str | None = None


def search(
    account_id: UUID,
    ref: str,
    window: Window,
    *,
    limit: int = MAX_SOURCES,
    max_parts: int = MAX_PARTS,
) -> SourceAnalytics:
    """Return the sources that sent as the domain in the window, the most messages first.

    limit      the number of sources that are listed one by one
    max_parts  the number of addresses, signatures and the like that are listed for each
    raises     NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        report = sending.load(session, domain, window)
        pending_reports = rollup_queue.pending_count(session, domain.id)
        partial = partial_reports.count(session, DmarcReport, domain, window)
    return SourceAnalytics(
        domain=domain,
        window=window,
        pending_reports=pending_reports,
        partial_reports=partial,
        messages=report.messages,
        days=report.days,
        reporters=report.reporters,
        listed=listed(report, limit, max_parts),
        published_use=source_details.published_use(
            report.context, report.sources, report.identities, report.days, report.flow_index
        ),
    )


def listed(report: SendingReport, limit: int, max_parts: int) -> SourceList:
    """Return the largest sources of a report; for the parameters see ``search``."""
    index, hosts = report.flow_index, report.context.hosts
    return SourceList(
        sources=[
            source_details.source_detail(source, index, hosts, max_parts)
            for source in report.sources[:limit]
        ],
        other=source_details.totals(report.sources[limit:]),
    )


def coverage(account_id: UUID, ref: str, window: Window) -> Coverage:
    """Return the reporters of the window, the most messages first, and the days without reports.

    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return read_coverage(session, domain, window)


def read_coverage(session: Session, domain: Domain, window: Window) -> Coverage:
    """As ``coverage``, in the caller's transaction."""
    rows = sending.hours(session, domain.id, window)
    end = min(window.stop, hour_of(now(session)))
    within = sending.inner_hours(session, domain.id, window)
    return Coverage(
        domain=domain,
        window=window,
        pending_reports=rollup_queue.pending_count(session, domain.id),
        partial_reports=partial_reports.count(session, DmarcReport, domain, window),
        reporters=reporters.reporters(rows, end, within),
        gaps=reporters.gaps(hour for _, hour, _ in rows),
    )


def classify(
    account_id: UUID, ref: str, classification: ManualClassification, *, actor: str
) -> ManualClassification:
    """Classify a source of the domain, or reset its classification; return the previous one.

    raises  NotFound if the domain is not in the account, or the source never sent as it
    """
    rollup_queue.drain_domain(account_id, ref)
    source, decision = classification.source, classification.decision
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref)
        previous = session.get(SourceDecision, (domain.id, source), with_for_update=True)
        before = ManualClassification(
            source, previous.decision if previous else None, previous.note if previous else None
        )
        _store(session, domain, classification, actor)
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="source.decided",
            target=domain.name,
            source=source,
            state=decision,
            note=classification.note,
        )
        return before


def _store(
    session: Session, domain: Domain, classification: ManualClassification, actor: str
) -> None:
    source, decision = classification.source, classification.decision
    if decision is None:
        session.execute(
            delete(SourceDecision).where(
                SourceDecision.domain_id == domain.id, SourceDecision.source == source
            )
        )
        return
    _expect_source(session, domain, source)
    values = {
        "decision": decision,
        "note": classification.note,
        "actor": actor,
        "at": now(session),
    }
    session.execute(
        bulk.insert(session, SourceDecision)
        .values(domain_id=domain.id, source=source, **values)
        .on_conflict_do_update(index_elements=["domain_id", "source"], set_=values)
    )


def _expect_source(session: Session, domain: Domain, source: str) -> None:
    first, last = session.execute(
        select(func.min(DmarcFlow.first_hour), func.max(DmarcFlow.last_hour)).where(
            DmarcFlow.domain_id == domain.id
        )
    ).one()
    report = sending.load(session, domain, Window(first or 0, (last or 0) + 1))
    keys = {row.key for row in report.sources}
    keys |= {f"ip:{address}" for row in report.sources for address in row.addresses}
    if source not in keys:
        raise NotFound
