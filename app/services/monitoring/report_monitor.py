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
from app.models import Account, Domain, Intake, ReportMailbox, ReportWatch
from app.models.reports import FAILED, VERIFIED
from app.rules.reports import reports, senders, spoofing
from app.rules.reports.graded import graded
from app.rules.reports.posture import BASELINE_DAYS, AccountPosture, DayFiles, Doubtful, Mailbox
from app.services.alerts import alerts
from app.services.analytics import rollup_queue
from app.services.core import leases
from app.services.ingest import authenticity
from app.services.monitoring import report_posture
from app.services.monitoring.report_posture import PATIENCE

RULES = tuple(map(graded, (*reports.RULES, *senders.RULES, *spoofing.RULES)))
EVERY = timedelta(hours=1)
AT_ONCE = 10
RUN_SECONDS = 20.0  # of one job: files of reports wait behind it; the clock rings for the rest
ACCOUNTS_AT_ONCE = 500
SAMPLES = 5
FILES_LOOKED_AT = 200  # for samples


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
            session.execute(bulk.insert(session, ReportWatch).on_conflict_do_nothing(), rows)
        due_at = session.scalar(
            select(func.min(ReportWatch.due_at)).where(leases.is_due(ReportWatch, moment))
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
        and (claimed := leases.claim(ReportWatch, AT_ONCE))
    ):
        for domain_id in claimed:
            judge(domain_id)
        count += len(claimed)
    if count:
        judge_accounts()
    return count


def judge(domain_id: UUID) -> None:
    """Hold the domain's alerts on reports against what its reports tell now.

    While some are not added up yet there is less to be seen than was told: it is judged later.
    """
    rollup_queue.count_of(domain_id)
    with transaction(readonly=True, snapshot=True) as session:
        domain = session.get(Domain, domain_id)
        is_whole = not rollup_queue.is_waiting(session, domain_id)
        posture = report_posture.of_domain(session, domain) if domain and is_whole else None
    with transaction() as session:
        locked = session.get(Domain, domain_id, with_for_update={"key_share": True})
        if locked is None:
            return
        if posture is not None:
            standing = alerts.standing(session, [domain_id]).get(domain_id, [])
            alerts.evaluate(session, locked, posture, standing, rules=RULES)
        session.execute(
            update(ReportWatch)
            .where(ReportWatch.domain_id == domain_id)
            .values(due_at=now(session) + (EVERY if posture else PATIENCE), lease_until=None)
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
    own, total = _day_files(session, account.id, moment)
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
        moment, own, total,
        {about: count for about, count in foreign if about}, _failing(session, account.id),
        _doubtful(session, account.id, moment),
    )  # fmt: skip
    standing = alerts.standing_of_account(session, account.id)
    alerts.evaluate(session, account, posture, standing, rules=reports.ACCOUNT_RULES)


def _day_files(session: Session, account_id: UUID, moment: datetime) -> tuple[DayFiles, DayFiles]:
    """The files that ended in the last day: the account's own uploads, and all."""
    is_own = Intake.way.in_(authenticity.TRUSTED_WAYS).label("is_own")
    rows = session.execute(
        select(is_own, Intake.state, Intake.reason, func.count())
        .where(Intake.account_id == account_id, Intake.finished_at >= moment - timedelta(days=1))
        .group_by(is_own, Intake.state, Intake.reason)
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
