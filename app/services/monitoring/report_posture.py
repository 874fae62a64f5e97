"""Builds the posture of a domain from its reports: the input of the report rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from app.analysis.mail import reporters, unused
from app.analysis.mail.classification import SourceClass
from app.analysis.mail.periods import Window, at, hour_of
from app.analysis.mail.reporters import Reporter
from app.db import bulk, transactions
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcReport,
    DnsChange,
    Domain,
    FailureReport,
    ReporterCount,
    ReportFile,
    ReportMailbox,
    TlsReport,
)
from app.models.reports import PROVENANCES
from app.protocols import timestamps
from app.rules.reports import senders
from app.rules.reports.posture import (
    BASELINE_DAYS,
    RECENT_DAYS,
    GradedPosture,
    Mail,
    ReportPosture,
    Tls,
    Volume,
)
from app.services.analytics import policy, sending
from app.services.analytics import tls as analytics_tls
from app.services.analytics.sending import SendingReport
from app.services.monitoring import read_reports

MAX_WAIT = timedelta(minutes=10)  # after which waiting files count as a delay
TLS_DAYS = (2, 7, 14, 90)
COVERAGE_DAYS = 60
SAMPLES = 5
DAY = 24


def of_domain(session: Session, domain: Domain) -> GradedPosture:
    """The posture of the domain on trusted and on all reports, in the caller's transaction."""
    everything = _of_domain(session, domain, is_trusted_only=False)
    if not _has_unverified(session, domain):
        return GradedPosture(everything, everything)
    return GradedPosture(_of_domain(session, domain, is_trusted_only=True), everything)


def _has_unverified(session: Session, domain: Domain) -> bool:
    """Return whether the domain has unverified reports."""
    mail = exists().where(DmarcIdentity.domain_id == domain.id, ~DmarcIdentity.trusted)
    tls = exists().where(TlsReport.domain_id == domain.id, TlsReport.provenance == PROVENANCES[0])
    return bool(session.scalar(select(or_(mail, tls))))


def _of_domain(session: Session, domain: Domain, *, is_trusted_only: bool) -> ReportPosture:
    now = transactions.now(session)
    hour = hour_of(now) + 1
    split = hour - RECENT_DAYS * DAY
    current, usual = Window(split, hour), Window(split - BASELINE_DAYS * DAY, split)
    recent = sending.load(session, domain, current, is_trusted_only=is_trusted_only)
    before = sending.load(session, domain, usual, is_trusted_only=is_trusted_only)
    ready = policy.assess(session, domain, Window(hour - 30 * DAY, hour))
    published, dmarc_facts = ready.published, recent.last_results.get("dmarc", {}).get("facts")
    mail_now, mail_before = _mail(session, recent), _mail(session, before)
    quiet = senders.quiet(mail_now, mail_before)
    failure_count, failures = _failures(session, domain, now)
    return ReportPosture(
        domain=domain.name,
        now=now,
        now_hour=hour - 1,
        monitored_since=domain.verified_at or domain.created_at,
        usage=domain.usage,
        policy=published.record.p if published and published.text else None,
        rua=dmarc_facts.get("rua", []) if dmarc_facts else None,
        policy_since=_policy_since(session, domain),
        days_at_policy=ready.evidence.days_at_policy,
        last_report_at=_last_report_at(session, domain),
        first_hour=_first_hour(session, domain, is_trusted_only),
        reporters=_reporters(session, domain, hour, is_trusted_only),
        recent=mail_now,
        previous=mail_before,
        tls=[
            _tls(session, domain, Window(hour - days * DAY, hour), is_trusted_only)
            for days in TLS_DAYS
        ],
        step=ready.steps[0] if ready.steps else None,
        record_name=published.name if published else None,
        failure_reports=failures,
        failure_report_count=failure_count,
        is_behind=_is_behind(session, domain.account_id, now),
        read_reports=read_reports.of_domain(session, domain, now, is_trusted_only=is_trusted_only),
        signers=_signers(session, before, quiet, hour - 1) if quiet else (),
    )


def _last_report_at(session: Session, domain: Domain) -> datetime | None:
    return session.scalar(
        select(func.max(DmarcReport.received_at)).where(DmarcReport.domain_id == domain.id)
    )


def _first_hour(session: Session, domain: Domain, is_trusted_only: bool) -> int | None:
    statement = select(func.min(DmarcFlow.first_hour)).where(DmarcFlow.domain_id == domain.id)
    if is_trusted_only:
        identity = DmarcIdentity.id == DmarcFlow.identity_id
        statement = statement.join(DmarcIdentity, identity).where(DmarcIdentity.trusted)
    return session.scalar(statement)


def _reporters(
    session: Session, domain: Domain, hour: int, is_trusted_only: bool
) -> list[Reporter]:
    window = Window(hour - COVERAGE_DAYS * DAY, hour)
    rows = sending.hours(session, domain.id, window, is_trusted_only=is_trusted_only)
    return reporters.reporters(rows, hour - 1, sending.inner_hours(session, domain.id, window))


def _mail(session: Session, report: SendingReport) -> Mail:
    domain, identities = report.domain.name, report.identities
    published = report.context.selectors
    return Mail(
        everything=_volume(session, report, verified=report.is_trusted_only),
        verified=_volume(session, report, verified=True),
        sources=report.sources,
        identities=identities,
        selectors=unused.selectors(domain, identities, report.sources, published),
        subdomains=unused.subdomains(domain, report.sources, identities),
    )


def _volume(session: Session, report: SendingReport, *, verified: bool) -> Volume:
    statement = (
        select(
            DmarcHour.reporter,
            DmarcHour.hour,
            or_(DmarcHour.dkim, DmarcHour.spf).label("passed"),
            func.sum(DmarcHour.messages),
        )
        .where(
            DmarcHour.domain_id == report.domain.id,
            DmarcHour.hour >= report.window.start,
            DmarcHour.hour < report.window.stop,
            DmarcHour.messages > 0,
        )
        .group_by(DmarcHour.reporter, DmarcHour.hour, "passed")
    )
    if verified:
        statement = statement.where(DmarcHour.trusted)
    by_reporter: dict[str, dict[int, tuple[int, int]]] = {}
    for reporter, hour, passed, count in session.execute(statement):
        days = by_reporter.setdefault(reporter, {})
        messages, failed = days.get(hour // DAY, (0, 0))
        days[hour // DAY] = (messages + int(count), failed + (0 if passed else int(count)))
    return Volume(by_reporter, _passed_on(report, verified=verified))


def _passed_on(report: SendingReport, *, verified: bool) -> int:
    return sum(
        messages
        for source in report.sources
        if source.kind is SourceClass.FORWARDER
        for number, messages in source.identities.items()
        if not report.identities[number].passed
        and (report.identities[number].trusted or not verified)
    )


def _signers(
    session: Session, before: SendingReport, names: Sequence[str], now_hour: int
) -> list[Reporter]:
    """Return how regularly these selectors signed email, measured as for reporters."""
    by_identity = {
        number: selector
        for number, identity in before.identities.items()
        for name, selector, result in identity.dkim_results
        if name == before.domain.name and result == "pass" and selector in names
    }
    rows: list[tuple[str, int, int]] = []
    for numbers in bulk.batched(by_identity):
        counts = session.execute(
            select(ReporterCount.identity_id, ReporterCount.start, ReporterCount.messages).where(
                ReporterCount.domain_id == before.domain.id,
                ReporterCount.span == 1,
                ReporterCount.start >= before.window.start,
                ReporterCount.start < before.window.stop,
                ReporterCount.identity_id.in_(numbers),
            )
        )
        rows += [(by_identity[number], hour, count) for number, hour, count in counts]
    return reporters.reporters(rows, now_hour)


def _is_behind(session: Session, account_id: UUID, now: datetime) -> bool:
    """Return whether files are queued for longer than MAX_WAIT, or a mailbox cannot be polled."""
    queued = select(ReportFile.id).where(
        ReportFile.account_id == account_id,
        ReportFile.status == "received",
        ReportFile.received_at < now - MAX_WAIT,
    )
    failing = select(ReportMailbox.id).where(
        ReportMailbox.account_id == account_id, ReportMailbox.failing_since.is_not(None)
    )
    return any(session.scalar(statement.limit(1)) is not None for statement in (queued, failing))


def _tls(session: Session, domain: Domain, window: Window, is_trusted_only: bool) -> Tls:
    sessions = analytics_tls.sums(session, domain.id, window, is_trusted_only=is_trusted_only)
    verified = session.scalar(
        select(TlsReport.id)
        .where(
            TlsReport.domain_id == domain.id,
            TlsReport.provenance != "unverified",
            TlsReport.begin_at >= at(window.start - DAY),
        )
        .limit(1)
    )
    return Tls(
        days=window.days,
        successful=sessions.totals.successful,
        failed=sessions.totals.failed,
        result_types=dict(sessions.result_types.most_common(10)),
        hosts=dict(sessions.hosts),
        is_verified=verified is not None,
    )


def _policy_since(session: Session, domain: Domain) -> datetime | None:
    return session.scalar(
        select(func.max(DnsChange.at)).where(
            DnsChange.domain_id == domain.id, DnsChange.check == "dmarc"
        )
    )


def _failures(
    session: Session, domain: Domain, now: datetime
) -> tuple[int, list[dict[str, str | None]]]:
    """Return the number of failure reports of the last day, and samples of the newest."""
    fresh = (
        FailureReport.domain_id == domain.id,
        FailureReport.received_at >= now - timedelta(days=1),
    )
    count = session.scalar(select(func.count()).select_from(FailureReport).where(*fresh)) or 0
    rows = session.scalars(
        select(FailureReport).where(*fresh).order_by(FailureReport.id.desc()).limit(SAMPLES)
    )
    samples = [
        {
            "reporter": row.reporter,
            "sourceIp": row.source_ip,
            "receivedAt": timestamps.text(row.received_at),
        }
        for row in rows
    ]
    return count, samples
