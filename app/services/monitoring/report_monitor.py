"""Alerts on reports: evaluates every domain hourly on its reports.

A row of ``report_monitors`` is the job: the worker that holds its lease evaluates the domain once
it is due. The posture is read before the writing transaction, so that report processing does not
wait.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import ids
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.jobs import queue
from app.models import Account, Domain, ReportFile, ReportMailbox, ReportMonitor
from app.models.reports import FAILED, VERIFIED
from app.rules import reports
from app.rules.reports.drafts import MAX_SAMPLES
from app.rules.reports.graded import graded
from app.rules.reports.posture import (
    BASELINE_DAYS,
    AccountPosture,
    DayFiles,
    Mailbox,
    SuspectReport,
)
from app.services.alerts import evaluation
from app.services.alerts.evaluation import Evaluation
from app.services.core import domain_lookup
from app.services.core.leases import LeaseTable
from app.services.ingest import authenticity
from app.services.mailboxes import mailboxes
from app.services.monitoring import report_posture
from app.services.monitoring.report_posture import MAX_WAIT
from app.services.rollups import rollup_queue

RULES = tuple(map(graded, reports.RULES))
CHECK_PERIOD = timedelta(hours=1)
LEASE_DURATION = timedelta(minutes=5)
BATCH_SIZE = 10
MAX_RUN_SECONDS = 20.0  # of one job, as report files wait behind it; the clock enqueues the rest
ACCOUNT_BATCH_SIZE = 500
SAMPLES = 5
MAX_FILES_EXAMINED = 200  # files searched for samples

LEASES = LeaseTable(
    key=ReportMonitor.domain_id,
    until=ReportMonitor.lease_until,
    duration=lambda: LEASE_DURATION,
)


def enqueue_if_due() -> None:
    """Enqueue a job for domains that are due, if no report file is waiting or they are late.

    New domains are due immediately; only domains that count as verified are evaluated.
    """
    with transaction() as session:
        now = transactions.now(session)
        unmonitored = (
            select(Domain.id, Domain.account_id)
            .outerjoin(ReportMonitor, ReportMonitor.domain_id == Domain.id)
            .where(ReportMonitor.domain_id.is_(None), *domain_lookup.counts_as_verified())
            .order_by(Domain.id)
            .limit(10_000)
        )
        rows = [
            {"domain_id": row.id, "account_id": row.account_id, "due_at": now}
            for row in session.execute(unmonitored)
        ]
        if rows:
            session.execute(bulk.insert(session, ReportMonitor).on_conflict_do_nothing(), rows)
        due_at = session.scalar(
            select(func.min(ReportMonitor.due_at)).where(
                LEASES.is_free(session, now), ReportMonitor.due_at <= now
            )
        )
        if due_at is not None:
            is_late = due_at <= now - MAX_WAIT
            after_commit(session, lambda: queue.enqueue_report_alerts(is_late=is_late))


def evaluate_due(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Evaluate the domains that are due, and every account, and return the number of domains.

    effects  for each domain one reading and one writing transaction
    """
    count, until = 0, time.monotonic() + MAX_RUN_SECONDS
    while not is_stopping() and time.monotonic() < until and (domain_ids := _claim()):
        for domain_id in domain_ids:
            evaluate_domain(domain_id)
        count += len(domain_ids)
    if count:
        evaluate_accounts()
    return count


def _claim() -> list[UUID]:
    with transaction() as session:
        is_due = ReportMonitor.due_at <= transactions.now(session)
        leases = LEASES.claim(session, is_due, order=(ReportMonitor.due_at,), limit=BATCH_SIZE)
        return [lease.key for lease in leases]


def evaluate_domain(domain_id: UUID) -> None:
    """Evaluate the rules on the domain's reports.

    While some reports are not rolled up yet, the figures are incomplete, and the domain is
    evaluated later.
    """
    rollup_queue.drain_domains([domain_id])
    with transaction(readonly=True, snapshot=True) as session:
        domain = session.get(Domain, domain_id)
        is_complete = not rollup_queue.has_pending(session, domain_id)
        posture = report_posture.of_domain(session, domain) if domain and is_complete else None
    with transaction() as session:
        owner = session.get(Domain, domain_id, with_for_update={"key_share": True})
        if owner is None:
            return
        if posture is not None:
            live = evaluation.live_alerts(session, [domain_id]).get(domain_id, [])
            evaluation.evaluate(session, Evaluation(owner, posture, live), RULES)
        session.execute(
            update(ReportMonitor)
            .where(ReportMonitor.domain_id == domain_id)
            .values(
                due_at=transactions.now(session) + (CHECK_PERIOD if posture else MAX_WAIT),
                lease_until=None,
            )
        )


def evaluate_accounts() -> None:
    """Evaluate the rules on the report files and mailboxes of every account."""
    after: UUID | None = None
    while True:
        with transaction() as session:
            statement = select(Account).order_by(Account.id).limit(ACCOUNT_BATCH_SIZE)
            if after is not None:
                statement = statement.where(Account.id > after)
            accounts = session.scalars(statement).all()
            for account in accounts:
                _evaluate_account(session, account)
        if not accounts:
            return
        after = accounts[-1].id


def _evaluate_account(session: Session, account: Account) -> None:
    now = transactions.now(session)
    own, total = _day_files(session, account.id, now)
    foreign = session.execute(
        select(ReportFile.policy_domain, func.count())
        .where(
            ReportFile.account_id == account.id,
            ReportFile.status == "unattributed",
            ReportFile.finished_at >= now - timedelta(days=7),
        )
        .group_by(ReportFile.policy_domain)
        .order_by(func.count().desc())
        .limit(MAX_SAMPLES)
    ).all()
    posture = AccountPosture(
        now=now,
        own_files=own,
        all_files=total,
        foreign={domain: count for domain, count in foreign if domain},
        failing=_failing(session, account.id),
        suspect_reports=_suspect_reports(session, account.id, now),
    )
    live = evaluation.live_account_alerts(session, account.id)
    evaluation.evaluate(session, Evaluation(account, posture, live), reports.ACCOUNT_RULES)


def _day_files(session: Session, account_id: UUID, now: datetime) -> tuple[DayFiles, DayFiles]:
    """Return the files processed in the last day: the account's own uploads, and all."""
    is_own = ReportFile.received_via.in_(authenticity.TRUSTED_ROUTES).label("is_own")
    rows = session.execute(
        select(is_own, ReportFile.status, ReportFile.reason, func.count())
        .where(
            ReportFile.account_id == account_id, ReportFile.finished_at >= now - timedelta(days=1)
        )
        .group_by(is_own, ReportFile.status, ReportFile.reason)
    ).all()
    results = []
    for only_own in (True, False):
        reasons, files = Counter[str](), 0
        for own, state, reason, count in rows:
            if own or not only_own:
                files += count
                reasons[reason or ""] += count * (state == "rejected")
        results.append(DayFiles(files, +reasons))
    return results[0], results[1]


def _failing(session: Session, account_id: UUID) -> list[Mailbox]:
    rows = session.scalars(
        select(ReportMailbox)
        .where(ReportMailbox.account_id == account_id, ReportMailbox.failing_since.is_not(None))
        .order_by(ReportMailbox.id)
    )
    return [
        Mailbox(
            id=ids.public("mbx", row.id),
            name=mailboxes.name_of(row),
            failing_since=row.failing_since,
            failure=row.failure or "",
            needs_sign_in=row.paused_at is not None,
        )
        for row in rows
        if row.failing_since
    ]


def _suspect_reports(session: Session, account_id: UUID, now: datetime) -> list[SuspectReport]:
    """Return reporters with failed authentication, oldest first: new names displace none."""
    named = (ReportFile.account_id == account_id, ReportFile.reporter.is_not(None))
    week = ReportFile.finished_at >= now - timedelta(days=7)
    failed = (*named, ReportFile.authenticity == FAILED, week)
    counts = session.execute(
        select(ReportFile.reporter, func.count())
        .where(*failed)
        .group_by(ReportFile.reporter)
        .order_by(func.min(ReportFile.finished_at), ReportFile.reporter)
        .limit(MAX_SAMPLES)
    ).all()
    if not counts:
        return []
    files = session.execute(
        select(ReportFile.reporter, ReportFile.author, ReportFile.id)
        .where(*failed, ReportFile.reporter.in_([name for name, _ in counts]))
        .order_by(ReportFile.finished_at.desc(), ReportFile.id.desc())
        .limit(MAX_FILES_EXAMINED)
    ).all()
    verified = session.scalars(
        select(ReportFile.reporter)
        .where(
            *named,
            ReportFile.authenticity == VERIFIED,
            ReportFile.reporter.in_([name for name, _ in counts]),
            ReportFile.finished_at >= now - timedelta(days=BASELINE_DAYS),
        )
        .distinct()
    ).all()
    return [
        _suspect_report(name, count, files, is_well_known=name in verified)
        for name, count in counts
        if name
    ]


def _suspect_report(
    name: str, count: int, files: Sequence[Any], *, is_well_known: bool
) -> SuspectReport:
    own_files = [file for file in files if file.reporter == name]
    return SuspectReport(
        reporter=name,
        reports=count,
        authors=list(dict.fromkeys(file.author for file in own_files if file.author)),
        files=[ids.public("file", file.id) for file in own_files[:SAMPLES]],
        is_well_known=is_well_known,
    )
