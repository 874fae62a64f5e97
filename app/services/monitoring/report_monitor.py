"""Alerts on reports: each domain is judged every hour by all that its reports tell by then.

A row of ``report_watches`` is the job: a domain is judged once it is due, by whoever has its lease.
What is read and judged is read before the transaction that writes, so that intakes do not wait.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import ids
from app.db import bulk
from app.db.transactions import after_commit, now, transaction
from app.jobs import queue
from app.models import Account, Domain, ReportFile, ReportMailbox, ReportMonitor
from app.models.reports import FAILED, VERIFIED
from app.rules.reports import reports, senders, spoofing
from app.rules.reports.graded import graded
from app.rules.reports.posture import (
    BASELINE_DAYS,
    AccountPosture,
    DayFiles,
    Mailbox,
    SuspectReport,
)
from app.services.alerts import alerts
from app.services.analytics import rollup_queue
from app.services.core import leases
from app.services.ingest import authenticity
from app.services.monitoring import report_posture
from app.services.monitoring.report_posture import MAX_WAIT

RULES = tuple(map(graded, (*reports.RULES, *senders.RULES, *spoofing.RULES)))
CHECK_PERIOD = timedelta(hours=1)
BATCH_SIZE = 10
MAX_RUN_SECONDS = 20.0  # of one job: files of reports wait behind it; the clock rings for the rest
ACCOUNT_BATCH_SIZE = 500
SAMPLES = 5
MAX_FILES_EXAMINED = 200  # for samples


def enqueue_if_due() -> None:
    """Have a worker judge what is due, when no file waits to be read or it is late.

    Domains that are new are due at once.
    """
    with transaction() as session:
        moment = now(session)
        unwatched = (
            select(Domain.id, Domain.account_id)
            .outerjoin(ReportMonitor, ReportMonitor.domain_id == Domain.id)
            .where(ReportMonitor.domain_id.is_(None), Domain.verified_at.is_not(None))
            .order_by(Domain.id)
            .limit(10_000)
        )
        rows = [
            {"domain_id": row.id, "account_id": row.account_id, "due_at": moment}
            for row in session.execute(unwatched)
        ]
        if rows:
            session.execute(bulk.insert(session, ReportMonitor).on_conflict_do_nothing(), rows)
        due_at = session.scalar(
            select(func.min(ReportMonitor.due_at)).where(leases.is_due(ReportMonitor, moment))
        )
        if due_at is not None:
            is_late = due_at <= moment - MAX_WAIT
            after_commit(session, lambda: queue.enqueue_report_alerts(is_late=is_late))


def evaluate_due(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge the domains that are due, and every account; how many domains those were.

    effects  for each domain a transaction that reads and one that writes
    """
    count, until = 0, time.monotonic() + MAX_RUN_SECONDS
    while (
        not is_stopping()
        and time.monotonic() < until
        and (claimed := leases.claim(ReportMonitor, BATCH_SIZE))
    ):
        for domain_id in claimed:
            evaluate_domain(domain_id)
        count += len(claimed)
    if count:
        evaluate_accounts()
    return count


def evaluate_domain(domain_id: UUID) -> None:
    """Hold the domain's alerts on reports against what its reports tell now.

    While some are not added up yet there is less to be seen than was told: it is judged later.
    """
    rollup_queue.pending_count(domain_id)
    with transaction(readonly=True, snapshot=True) as session:
        domain = session.get(Domain, domain_id)
        is_whole = not rollup_queue.has_pending(session, domain_id)
        posture = report_posture.of_domain(session, domain) if domain and is_whole else None
    with transaction() as session:
        locked = session.get(Domain, domain_id, with_for_update={"key_share": True})
        if locked is None:
            return
        if posture is not None:
            standing = alerts.live_alerts(session, [domain_id]).get(domain_id, [])
            alerts.evaluate(session, locked, posture, standing, rules=RULES)
        session.execute(
            update(ReportMonitor)
            .where(ReportMonitor.domain_id == domain_id)
            .values(due_at=now(session) + (CHECK_PERIOD if posture else MAX_WAIT), lease_until=None)
        )


def evaluate_accounts() -> None:
    """Hold every account's alerts on what comes in against what came in the last day."""
    after: UUID | None = None
    while True:
        with transaction() as session:
            statement = select(Account).order_by(Account.id).limit(ACCOUNT_BATCH_SIZE)
            if after is not None:
                statement = statement.where(Account.id > after)
            found = session.scalars(statement).all()
            for account in found:
                _evaluate_account(session, account)
        if not found:
            return
        after = found[-1].id


def _evaluate_account(session: Session, account: Account) -> None:
    moment = now(session)
    own, total = _day_files(session, account.id, moment)
    foreign = session.execute(
        select(ReportFile.policy_domain, func.count())
        .where(
            ReportFile.account_id == account.id,
            ReportFile.status == "unattributed",
            ReportFile.finished_at >= moment - timedelta(days=7),
        )
        .group_by(ReportFile.policy_domain)
        .order_by(func.count().desc())
        .limit(reports.MAX_SAMPLES)
    ).all()
    posture = AccountPosture(
        moment, own, total,
        {about: count for about, count in foreign if about}, _failing(session, account.id),
        _suspect_reports(session, account.id, moment),
    )  # fmt: skip
    standing = alerts.live_account_alerts(session, account.id)
    alerts.evaluate(session, account, posture, standing, rules=reports.ACCOUNT_RULES)


def _day_files(session: Session, account_id: UUID, moment: datetime) -> tuple[DayFiles, DayFiles]:
    """The files that ended in the last day: the account's own uploads, and all."""
    is_own = ReportFile.received_via.in_(authenticity.TRUSTED_WAYS).label("is_own")
    rows = session.execute(
        select(is_own, ReportFile.status, ReportFile.reason, func.count())
        .where(
            ReportFile.account_id == account_id,
            ReportFile.finished_at >= moment - timedelta(days=1),
        )
        .group_by(is_own, ReportFile.status, ReportFile.reason)
    ).all()
    counted = []
    for only_own in (True, False):
        reasons, files = Counter[str](), 0
        for own, state, reason, count in rows:
            if own or not only_own:
                files += count
                reasons[reason or ""] += count * (state == "quarantined")
        counted.append(DayFiles(files, +reasons))
    return counted[0], counted[1]


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


def _suspect_reports(session: Session, account_id: UUID, moment: datetime) -> list[SuspectReport]:
    """The longest known first: so the names that a stranger makes up push out none."""
    told = (ReportFile.account_id == account_id, ReportFile.reporter.is_not(None))
    week = ReportFile.finished_at >= moment - timedelta(days=7)
    failed = (*told, ReportFile.authenticity == FAILED, week)
    counts = session.execute(
        select(ReportFile.reporter, func.count())
        .where(*failed)
        .group_by(ReportFile.reporter)
        .order_by(func.min(ReportFile.finished_at), ReportFile.reporter)
        .limit(reports.MAX_SAMPLES)
    ).all()
    if not counts:
        return []
    files = session.execute(
        select(ReportFile.reporter, ReportFile.author, ReportFile.id)
        .where(*failed, ReportFile.reporter.in_([name for name, _ in counts]))
        .order_by(ReportFile.finished_at.desc(), ReportFile.id.desc())
        .limit(MAX_FILES_EXAMINED)
    ).all()
    known = session.scalars(
        select(ReportFile.reporter)
        .where(
            *told,
            ReportFile.authenticity == VERIFIED,
            ReportFile.reporter.in_([name for name, _ in counts]),
            ReportFile.finished_at >= moment - timedelta(days=BASELINE_DAYS),
        )
        .distinct()
    ).all()
    return [
        SuspectReport(
            name, count,
            list(dict.fromkeys(f.author for f in files if f.reporter == name and f.author)),
            [ids.public("int", f.id) for f in files if f.reporter == name][:SAMPLES],
            name in known,
        )
        for name, count in counts if name
    ]  # fmt: skip
