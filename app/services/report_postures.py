"""All that reports tell of a domain now, as the rules of alerts look at it: steps."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.db import now
from app.insight import coverage, unused
from app.insight.coverage import Reporter
from app.insight.forwarding import Kind
from app.insight.periods import Window, at, hour_of
from app.models import (
    DmarcFlow,
    DmarcHour,
    DmarcReport,
    DnsChange,
    Domain,
    FailureReport,
    Intake,
    ReporterCount,
    ReportMailbox,
    TlsReport,
)
from app.protocols import timestamps
from app.rules import senders
from app.rules.posture import BASELINE_DAYS, RECENT_DAYS, Mail, ReportPosture, Tls, Volume
from app.services import mail_sources, policy_change, rollups, tls_sessions

PATIENCE = timedelta(minutes=10)  # with files that wait
TLS_DAYS = (2, 7, 14, 90)
COVERAGE_DAYS = 60
SAMPLES = 5
DAY = 24


def of_domain(session: Session, domain: Domain) -> ReportPosture:
    """What they tell of the last days, and of the weeks before."""
    moment = now(session)
    hour = hour_of(moment) + 1
    turn = hour - RECENT_DAYS * DAY
    recent = mail_sources.load(session, domain, Window(turn, hour))
    before = mail_sources.load(session, domain, Window(turn - BASELINE_DAYS * DAY, turn))
    ready = policy_change.judge(mail_sources.load(session, domain, Window(hour - 30 * DAY, hour)))
    published, known = ready.published, recent.known.get("dmarc", {}).get("facts")
    mail_now, mail_before = _mail(session, recent), _mail(session, before)
    quiet = senders.quiet(mail_now, mail_before)
    failure_count, failures = _failures(session, domain, moment)
    return ReportPosture(
        domain=domain.name,
        now=moment,
        now_hour=hour - 1,
        watched_since=domain.verified_at or domain.created_at,
        usage=domain.usage,
        policy=published.record.p if published and published.text else None,
        rua=known.get("rua", []) if known else None,
        policy_since=_policy_since(session, domain),
        last_report_at=_last_report_at(session, domain),
        first_hour=_first_hour(session, domain),
        reporters=_reporters(session, domain, hour),
        recent=mail_now,
        before=mail_before,
        tls=[_tls(session, domain, Window(hour - days * DAY, hour)) for days in TLS_DAYS],
        step=ready.steps[0] if ready.steps else None,
        record_name=published.name if published else None,
        failure_reports=failures,
        failure_report_count=failure_count,
        is_behind=_is_behind(session, domain.account_id, moment),
        signers=_signers(session, before, quiet, hour - 1) if quiet else (),
    )


def _last_report_at(session: Session, domain: Domain) -> datetime | None:
    return session.scalar(
        select(func.max(DmarcReport.received_at)).where(DmarcReport.domain_id == domain.id)
    )


def _first_hour(session: Session, domain: Domain) -> int | None:
    return session.scalar(
        select(func.min(DmarcFlow.first_hour)).where(DmarcFlow.domain_id == domain.id)
    )


def _reporters(session: Session, domain: Domain, hour: int) -> list[Reporter]:
    window = Window(hour - COVERAGE_DAYS * DAY, hour)
    told = mail_sources.hours(session, domain.id, window)
    return coverage.reporters(told, hour - 1, mail_sources.inner_hours(session, domain.id, window))


def _mail(session: Session, sending: mail_sources.Sending) -> Mail:
    domain, identities = sending.domain.name, sending.identities
    published = sending.known.get("dkim", {}).get("facts", {}).get("selectors", {})
    return Mail(
        everything=_volume(session, sending, verified=False),
        verified=_volume(session, sending, verified=True),
        sources=sending.sources,
        identities=identities,
        selectors=unused.selectors(domain, identities, sending.sources, published),
        subdomains=unused.subdomains(domain, sending.sources, identities),
    )


def _volume(session: Session, sending: mail_sources.Sending, *, verified: bool) -> Volume:
    statement = (
        select(
            DmarcHour.reporter, DmarcHour.hour, or_(DmarcHour.dkim, DmarcHour.spf).label("passed"),
            func.sum(DmarcHour.messages),
        )
        .where(
            DmarcHour.domain_id == sending.domain.id,
            DmarcHour.hour >= sending.window.start,
            DmarcHour.hour < sending.window.stop,
            DmarcHour.messages > 0,
        )
        .group_by(DmarcHour.reporter, DmarcHour.hour, "passed")
    )  # fmt: skip
    if verified:
        statement = statement.where(DmarcHour.trusted)
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for reporter, hour, passed, count in session.execute(statement):
        days = found.setdefault(reporter, {})
        messages, failed = days.get(hour // DAY, (0, 0))
        days[hour // DAY] = (messages + int(count), failed + (0 if passed else int(count)))
    return Volume(found, _passed_on(sending, verified=verified))


def _passed_on(sending: mail_sources.Sending, *, verified: bool) -> int:
    return sum(
        messages
        for source in sending.sources if source.kind is Kind.FORWARDER
        for number, messages in source.identities.items()
        if not sending.identities[number].passed
        and (sending.identities[number].trusted or not verified)
    )  # fmt: skip


def _signers(
    session: Session, before: mail_sources.Sending, names: Sequence[str], now_hour: int
) -> list[Reporter]:
    """How regularly these selectors signed mail, as is asked of reporters."""
    by_identity = {
        number: selector
        for number, identity in before.identities.items()
        for name, selector, result in identity.dkim_results
        if name == before.domain.name and result == "pass" and selector in names
    }
    rows: list[tuple[str, int, int]] = []
    for some in rollups.batched(by_identity):
        found = session.execute(
            select(ReporterCount.identity_id, ReporterCount.start, ReporterCount.messages).where(
                ReporterCount.domain_id == before.domain.id,
                ReporterCount.span == 1,
                ReporterCount.start >= before.window.start,
                ReporterCount.start < before.window.stop,
                ReporterCount.identity_id.in_(some),
            )
        )
        rows += [(by_identity[number], hour, count) for number, hour, count in found]
    return coverage.reporters(rows, now_hour)


def _is_behind(session: Session, account_id: UUID, moment: datetime) -> bool:
    """Files wait for longer than they should, or cannot be pulled."""
    waiting = select(Intake.id).where(
        Intake.account_id == account_id,
        Intake.state == "received",
        Intake.received_at < moment - PATIENCE,
    )
    failing = select(ReportMailbox.id).where(
        ReportMailbox.account_id == account_id, ReportMailbox.failing_since.is_not(None)
    )
    return any(session.scalar(one.limit(1)) is not None for one in (waiting, failing))


def _tls(session: Session, domain: Domain, window: Window) -> Tls:
    found = tls_sessions.read(session, domain.id, window, None)
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
        window.days, found.totals.successful, found.totals.failed,
        dict(found.result_types.most_common(10)), dict(found.hosts), verified is not None,
    )  # fmt: skip


def _policy_since(session: Session, domain: Domain) -> datetime | None:
    return session.scalar(
        select(func.max(DnsChange.at)).where(
            DnsChange.domain_id == domain.id, DnsChange.check == "dmarc"
        )
    )


def _failures(
    session: Session, domain: Domain, moment: datetime
) -> tuple[int, list[dict[str, Any]]]:
    """How many failure reports came in the last day, and the newest of them."""
    fresh = (
        FailureReport.domain_id == domain.id,
        FailureReport.received_at >= moment - timedelta(days=1),
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
