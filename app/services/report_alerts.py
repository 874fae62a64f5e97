"""Alerts on reports: each domain is judged every hour by all that its reports tell by then.

A row of ``report_watches`` is the job: a domain is judged once it is due, by whoever has its lease.
What is read and judged is read before the transaction that writes, so that intakes do not wait.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app import db, ids, queue
from app.db import after_commit, now, transaction
from app.insight import coverage, unused
from app.insight.periods import Window, at, hour_of
from app.models import (
    Account,
    DmarcFlow,
    DmarcHour,
    DmarcReport,
    DnsChange,
    Domain,
    FailureReport,
    Intake,
    ReportMailbox,
    ReportWatch,
    TlsReport,
)
from app.models.reports import FAILED, VERIFIED
from app.protocols import timestamps
from app.rules import forged, reports, senders
from app.rules.posture import (
    BASELINE_DAYS,
    RECENT_DAYS,
    AccountPosture,
    Doubtful,
    Mail,
    Mailbox,
    ReportPosture,
    Tls,
    Volume,
)
from app.services import alerts, counting, mail_sources, policy_change, tls_sessions, turns

RULES = (*reports.RULES, *senders.RULES, *forged.RULES)
EVERY = timedelta(hours=1)
PATIENCE = timedelta(minutes=10)  # of what is due, while files wait
AT_ONCE = 10
RUN_SECONDS = 20.0  # of one job: files of reports wait behind it; the clock rings for the rest
ACCOUNTS_AT_ONCE = 500
TLS_DAYS = (2, 7, 14, 90)
COVERAGE_DAYS = 60
SAMPLES = 5
FILES_LOOKED_AT = 200  # for samples
DAY = 24


def ring_if_due() -> None:
    """Have a worker judge what is due, when no file waits to be read or it is late.

    Domains that are new are due at once.
    """
    with transaction() as session:
        moment = now(session)
        unwatched = (
            select(Domain.id, Domain.account_id)
            .outerjoin(ReportWatch, ReportWatch.domain_id == Domain.id)
            .where(ReportWatch.domain_id.is_(None), Domain.verified_at.is_not(None))
            .order_by(Domain.id)
            .limit(10_000)
        )
        rows = [
            {"domain_id": row.id, "account_id": row.account_id, "due_at": moment}
            for row in session.execute(unwatched)
        ]
        if rows:
            session.execute(db.insert(session, ReportWatch).on_conflict_do_nothing(), rows)
        due_at = session.scalar(
            select(func.min(ReportWatch.due_at)).where(turns.is_due(ReportWatch, moment))
        )
        if due_at is not None:
            is_late = due_at <= moment - PATIENCE
            after_commit(session, lambda: queue.enqueue_report_alerts(is_late=is_late))


def judge_due(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge the domains that are due, and every account; how many domains those were.

    effects  for each domain a transaction that reads and one that writes
    """
    count, until = 0, time.monotonic() + RUN_SECONDS
    while (
        not is_stopping()
        and time.monotonic() < until
        and (claimed := turns.claim(ReportWatch, AT_ONCE))
    ):
        for domain_id in claimed:
            judge(domain_id)
        count += len(claimed)
    if count:
        judge_accounts()
    return count


def judge(domain_id: UUID) -> None:
    """Hold the domain's alerts on reports against what its reports tell now."""
    counting.count_of(domain_id)
    with transaction(readonly=True, snapshot=True) as session:
        domain = session.get(Domain, domain_id)
        posture = _posture(session, domain) if domain else None
    if posture is None:
        return
    with transaction() as session:
        locked = session.get(Domain, domain_id, with_for_update={"key_share": True})
        if locked is not None:
            standing = alerts.standing(session, [domain_id]).get(domain_id, [])
            alerts.evaluate(session, locked, posture, standing, rules=RULES)
            session.execute(
                update(ReportWatch)
                .where(ReportWatch.domain_id == domain_id)
                .values(due_at=posture.now + EVERY, lease_until=None)
            )


def judge_accounts() -> None:
    """Hold every account's alerts on what comes in against what came in the last day."""
    after: UUID | None = None
    while True:
        with transaction() as session:
            statement = select(Account).order_by(Account.id).limit(ACCOUNTS_AT_ONCE)
            if after is not None:
                statement = statement.where(Account.id > after)
            found = session.scalars(statement).all()
            for account in found:
                _judge_account(session, account)
        if not found:
            return
        after = found[-1].id


def _judge_account(session: Session, account: Account) -> None:
    moment = now(session)
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for state, reason, count in session.execute(
        select(Intake.state, Intake.reason, func.count())
        .where(
            Intake.account_id == account.id,
            Intake.finished_at >= moment - timedelta(days=1),
        )
        .group_by(Intake.state, Intake.reason)
    ):
        counts[state] = counts.get(state, 0) + count
        if state == "quarantined":
            reasons[reason or ""] = count
    foreign = session.execute(
        select(Intake.about, func.count())
        .where(
            Intake.account_id == account.id,
            Intake.state == "unattributed",
            Intake.finished_at >= moment - timedelta(days=7),
        )
        .group_by(Intake.about)
        .order_by(func.count().desc())
        .limit(reports.MOST)
    ).all()
    posture = AccountPosture(
        moment, sum(counts.values()), counts.get("quarantined", 0), reasons,
        {about: count for about, count in foreign if about}, _failing(session, account.id),
        _doubtful(session, account.id, moment),
    )  # fmt: skip
    standing = alerts.standing_of_account(session, account.id)
    alerts.evaluate(session, account, posture, standing, rules=reports.ACCOUNT_RULES)


def _failing(session: Session, account_id: UUID) -> list[Mailbox]:
    rows = session.scalars(
        select(ReportMailbox)
        .where(ReportMailbox.account_id == account_id, ReportMailbox.failing_since.is_not(None))
        .order_by(ReportMailbox.id)
    )
    return [
        Mailbox(
            ids.public("mbx", row.id), f"{row.username} at {row.host}, {row.folder}",
            row.failing_since, row.failure or "",
        )
        for row in rows if row.failing_since
    ]  # fmt: skip


def _doubtful(session: Session, account_id: UUID, moment: datetime) -> list[Doubtful]:
    """The longest known first: so the names that a stranger makes up push out none."""
    told = (Intake.account_id == account_id, Intake.reporter.is_not(None))
    week = Intake.finished_at >= moment - timedelta(days=7)
    failed = (*told, Intake.authenticity == FAILED, week)
    counts = session.execute(
        select(Intake.reporter, func.count())
        .where(*failed)
        .group_by(Intake.reporter)
        .order_by(func.min(Intake.finished_at), Intake.reporter)
        .limit(reports.MOST)
    ).all()
    if not counts:
        return []
    files = session.execute(
        select(Intake.reporter, Intake.author, Intake.id)
        .where(*failed, Intake.reporter.in_([name for name, _ in counts]))
        .order_by(Intake.finished_at.desc(), Intake.id.desc())
        .limit(FILES_LOOKED_AT)
    ).all()
    known = session.scalars(
        select(Intake.reporter)
        .where(
            *told,
            Intake.authenticity == VERIFIED,
            Intake.reporter.in_([name for name, _ in counts]),
            Intake.finished_at >= moment - timedelta(days=BASELINE_DAYS),
        )
        .distinct()
    ).all()
    return [
        Doubtful(
            name, count,
            list(dict.fromkeys(f.author for f in files if f.reporter == name and f.author)),
            [ids.public("int", f.id) for f in files if f.reporter == name][:SAMPLES],
            name in known,
        )
        for name, count in counts if name
    ]  # fmt: skip


def _posture(session: Session, domain: Domain) -> ReportPosture:
    moment = now(session)
    hour = hour_of(moment) + 1
    turn = hour - RECENT_DAYS * DAY
    recent = mail_sources.load(session, domain, Window(turn, hour))
    before = mail_sources.load(session, domain, Window(turn - BASELINE_DAYS * DAY, turn))
    ready = policy_change.judge(mail_sources.load(session, domain, Window(hour - 30 * DAY, hour)))
    published = ready.published
    known = recent.known.get("dmarc", {}).get("facts")
    told = mail_sources.hours(session, domain.id, Window(hour - COVERAGE_DAYS * DAY, hour))
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
        last_report_at=session.scalar(
            select(func.max(DmarcReport.received_at)).where(DmarcReport.domain_id == domain.id)
        ),
        first_hour=session.scalar(
            select(func.min(DmarcFlow.first_hour)).where(DmarcFlow.domain_id == domain.id)
        ),
        reporters=coverage.reporters(told, hour - 1),
        recent=_mail(session, recent),
        before=_mail(session, before),
        tls=[_tls(session, domain, Window(hour - days * DAY, hour)) for days in TLS_DAYS],
        step=ready.steps[0] if ready.steps else None,
        record_name=published.name if published else None,
        failure_reports=failures,
        failure_report_count=failure_count,
    )


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
            DmarcHour.hour, or_(DmarcHour.dkim, DmarcHour.spf).label("passed"),
            func.sum(DmarcHour.messages),
        )
        .where(
            DmarcHour.domain_id == sending.domain.id,
            DmarcHour.hour >= sending.window.start,
            DmarcHour.hour < sending.window.stop,
        )
        .group_by(DmarcHour.hour, "passed")
    )  # fmt: skip
    if verified:
        statement = statement.where(DmarcHour.trusted)
    days: dict[int, tuple[int, int]] = {}
    for hour, passed, count in session.execute(statement):
        messages, failed = days.get(hour // DAY, (0, 0))
        days[hour // DAY] = (messages + int(count), failed + (0 if passed else int(count)))
    return Volume(days)


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
