"""The dashboard overview of an account: grades, open alerts and what to fix first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, select
from sqlalchemy.orm import Session

from app import settings
from app.checks.engine.types import Severity
from app.db import transactions
from app.db.transactions import transaction
from app.models import (
    Alert,
    ApiKey,
    Channel,
    Domain,
    DomainMail,
    DomainMailDay,
    ReportFile,
    ReportMailbox,
    Scan,
)
from app.services.domain_status import domain_list, recent_changes
from app.services.domain_status.recent_changes import RecentChanges

MAX_LOWEST = 10  # domains in the list
MAX_FAILING = 5  # domains in the list
MAX_FIXES = 8
RECENT = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TREND_SCANS = 30


@dataclass(frozen=True, slots=True)
class Fix:
    """One problem with open alerts.

    domains, example  the number of affected domains, and one of them; 0 and None for an alert
                      about the account itself
    """

    type: str
    title: str
    severity: str
    domains: int
    example: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class MailTotals:
    """The messages of all domains of an account, and those that passed DMARC."""

    messages: int
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSteps:
    """The first steps of a new account, and whether each is done.

    unverified      the domain to verify; None if one is verified, or verification is off
    reports         a report file was received, or a mailbox is connected
    last_report_at  when the last report file that could be parsed was received
    """

    domain: bool
    verified: bool
    unverified: str | None
    reports: bool
    notifications: bool
    key: bool
    last_report_at: datetime | None

    @property
    def are_done(self) -> bool:
        """Whether all of them are done."""
        return all((self.domain, self.verified, self.reports, self.notifications, self.key))


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of the overview page, from one snapshot.

    grades       the number of domains by grade; ``""``: not scanned yet
    policies     the number of domains by DMARC policy; ``""``: not determined yet
    mail         the messages of 30 days that were counted in advance
    alerts       the number of open alerts by severity
    fixes        most severe first, then by the number of affected domains
    lowest       rows of ``domain_list.COLUMNS``, lowest score first
    trends       the scores of the last scans of these domains, oldest first
    email        reported messages per UTC day, today last, by DMARC result ``pass`` and ``fail``;
                 counted in advance
    first_steps  the first steps of a new account
    recent       what has changed in the last 24 hours
    failing      the domains with the most email that failed DMARC in 30 days: name, messages,
                 passed, failed
    """

    grades: Mapping[str, int]
    policies: Mapping[str, int]
    mail: MailTotals
    alerts: Mapping[str, int]
    fixes: Sequence[Fix]
    lowest: Sequence[Row[Any]]
    trends: Mapping[UUID, Sequence[int]]
    email: Sequence[tuple[date, Mapping[str, int]]]
    first_steps: FirstSteps
    recent: RecentChanges
    failing: Sequence[Row[Any]]

    @property
    def domains(self) -> int:
        """The number of domains."""
        return sum(self.grades.values())

    @property
    def well_graded(self) -> int:
        """The number of domains with grade A or B."""
        return self.grades.get("A", 0) + self.grades.get("B", 0)

    @property
    def open_alerts(self) -> int:
        """The number of open alerts."""
        return sum(self.alerts.values())


def of_account(account_id: UUID, days: int) -> Overview:
    """Return the current overview of the account, with its email of the last days."""
    with transaction(readonly=True, snapshot=True) as session:
        now = transactions.now(session)
        grades: Any = session.execute(
            select(func.coalesce(Domain.grade, ""), func.count())
            .where(Domain.account_id == account_id)
            .group_by(Domain.grade)
        ).all()
        alerts, fixes = _open_alerts(session, account_id)
        lowest: Any = session.execute(
            select(*domain_list.COLUMNS)
            .where(Domain.account_id == account_id, Domain.score.is_not(None))
            .order_by(Domain.score, Domain.name)
            .limit(MAX_LOWEST)
        ).all()
        return Overview(
            grades=dict(grades),
            policies=_policies(session, account_id),
            mail=_mail_totals(session, account_id),
            alerts=alerts,
            fixes=fixes,
            lowest=lowest,
            trends=score_trends(session, account_id, [row.id for row in lowest]),
            email=_email(session, account_id, days, now),
            first_steps=_first_steps(session, account_id),
            recent=recent_changes.read(session, account_id, now - RECENT),
            failing=_most_failing(session, account_id),
        )


def _policies(session: Session, account_id: UUID) -> Mapping[str, int]:
    rows: Any = session.execute(
        select(func.coalesce(Domain.dmarc_policy, ""), func.count())
        .where(Domain.account_id == account_id)
        .group_by(Domain.dmarc_policy)
    ).all()
    return dict(rows)


def _mail_totals(session: Session, account_id: UUID) -> MailTotals:
    sums = select(func.sum(DomainMail.messages), func.sum(DomainMail.passed))
    messages, passed = session.execute(sums.where(DomainMail.account_id == account_id)).one()
    return MailTotals(int(messages or 0), int(passed or 0))


def _open_alerts(session: Session, account_id: UUID) -> tuple[dict[str, int], list[Fix]]:
    """The number of open alerts by severity, and the problems to fix first."""
    groups = session.execute(
        select(
            Alert.type,
            Alert.severity,
            func.min(Alert.title),
            func.count(Alert.domain_id.distinct()),
            func.min(Alert.domain_name),
            func.min(Alert.first_seen_at),
            func.count(),
        )
        .where(Alert.account_id == account_id, Alert.status == "open")
        .group_by(Alert.type, Alert.severity)
    ).all()
    fixes = [
        Fix(
            type=type,
            title=title,
            severity=severity,
            domains=count,
            example=example,
            since=since,
        )
        for type, severity, title, count, example, since, _ in groups
    ]
    fixes.sort(key=lambda fix: (Severity(fix.severity).rank, -fix.domains, fix.type))
    alerts: dict[str, int] = {}
    for group in groups:
        alerts[group[1]] = alerts.get(group[1], 0) + group[-1]
    by_rank = sorted(alerts.items(), key=lambda item: Severity(item[0]).rank)
    return dict(by_rank), fixes[:MAX_FIXES]


def score_trends(
    session: Session, account_id: UUID, domain_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[int]]:
    """Return the scores of the last scans by domain, oldest first.

    Runs in the caller's transaction.
    """
    if not domain_ids:
        return {}
    newest = func.row_number().over(partition_by=Scan.domain_id, order_by=Scan.id.desc())
    numbered = (
        select(Scan.domain_id, Scan.id, Scan.score, newest.label("number"))
        .where(
            Scan.account_id == account_id,
            Scan.domain_id.in_(domain_ids),
            Scan.status == "completed",
        )
        .subquery()
    )
    rows = session.execute(
        select(numbered.c.domain_id, numbered.c.score)
        .where(numbered.c.number <= TREND_SCANS)
        .order_by(numbered.c.domain_id, numbered.c.id)
    ).all()
    scores: dict[UUID, list[int]] = {}
    for domain_id, score in rows:
        if score and score.get("value") is not None:
            scores.setdefault(domain_id, []).append(score["value"])
    return scores


def _email(
    session: Session, account_id: UUID, days: int, now: datetime
) -> Sequence[tuple[date, Mapping[str, int]]]:
    today = (now - _EPOCH).days
    rows: Any = session.execute(
        select(DomainMailDay.day, func.sum(DomainMailDay.messages), func.sum(DomainMailDay.passed))
        .where(DomainMailDay.account_id == account_id, DomainMailDay.day > today - days)
        .group_by(DomainMailDay.day)
    ).all()
    counts = {day: (int(messages), int(passed)) for day, messages, passed in rows}
    return [
        (
            (_EPOCH + timedelta(days=day)).date(),
            {"pass": counts[day][1], "fail": counts[day][0] - counts[day][1]}
            if day in counts
            else {},
        )
        for day in range(today - days + 1, today + 1)
    ]


def _most_failing(session: Session, account_id: UUID) -> Sequence[Row[Any]]:
    failed = DomainMail.messages - DomainMail.passed
    rows: Any = session.execute(
        select(Domain.name, DomainMail.messages, DomainMail.passed, failed.label("failed"))
        .join(DomainMail, DomainMail.domain_id == Domain.id)
        .where(Domain.account_id == account_id, failed > 0)
        .order_by(failed.desc(), Domain.name)
        .limit(MAX_FAILING)
    ).all()
    failing: Sequence[Row[Any]] = rows
    return failing


def _first_steps(session: Session, account_id: UUID) -> FirstSteps:
    def has(table: Any, *conditions: Any) -> bool:
        statement = select(exists().where(table.account_id == account_id, *conditions))
        return bool(session.scalar(statement))

    has_domain = has(Domain)
    is_verified = has(Domain, Domain.verified_at.is_not(None))
    unverified = None
    if has_domain and not is_verified:
        oldest = select(Domain.name).where(Domain.account_id == account_id).order_by(Domain.id)
        unverified = session.scalar(oldest.limit(1))
    if settings.current().domain_verification == "off":
        is_verified, unverified = has_domain, None
    received = select(ReportFile.received_at).where(
        ReportFile.account_id == account_id, ReportFile.status == "parsed"
    )
    return FirstSteps(
        domain=has_domain,
        verified=is_verified,
        unverified=unverified,
        reports=has(ReportFile) or has(ReportMailbox),
        notifications=has(Channel),
        key=has(ApiKey),
        last_report_at=session.scalar(received.order_by(ReportFile.id.desc()).limit(1)),
    )
