"""All domains of an account at a glance: how many of each grade, and what to fix first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from app.analysis.mail import periods
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.models import Alert, ApiKey, DmarcHour, Domain, ReportFile, Scan
from app.services.analytics import rollup_queue
from app.services.domains import domains

MAX_LOWEST = 10  # domains that are shown
MAX_FIXES = 8
TREND_SCANS = 30


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing that is wrong with some domains, by the alerts that are open about it.

    domains, example  how many, and one of them; 0 and None: it is about no domain
    """

    type: str
    title: str
    severity: str
    domains: int
    example: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """An account at a glance.

    grades  how many domains have which; ``""``: not scanned yet
    alerts  how many are open, by severity
    fixes   the worst first, then what the most domains have
    worst   rows of ``domains.COLUMNS``, lowest score first
    """

    grades: Mapping[str, int]
    alerts: Mapping[str, int]
    fixes: Sequence[Fix]
    lowest: Sequence[Row[Any]]

    @property
    def domains(self) -> int:
        """How many there are."""
        return sum(self.grades.values())


def of_account(account_id: UUID) -> Overview:
    """The account as it is now."""
    with transaction(readonly=True) as session:
        grades: Any = session.execute(
            select(func.coalesce(Domain.grade, ""), func.count())
            .where(Domain.account_id == account_id)
            .group_by(Domain.grade)
        ).all()
        groups = session.execute(
            select(
                Alert.type, Alert.severity, func.min(Alert.title),
                func.count(Alert.domain_id.distinct()), func.min(Alert.domain_name),
                func.min(Alert.first_seen_at), func.count(),
            )
            .where(Alert.account_id == account_id, Alert.status == "open")
            .group_by(Alert.type, Alert.severity)
        ).all()  # fmt: skip
        worst: Any = session.execute(
            select(*domains.COLUMNS)
            .where(Domain.account_id == account_id, Domain.score.is_not(None))
            .order_by(Domain.score, Domain.name)
            .limit(MAX_LOWEST)
        ).all()
    fixes = [
        Fix(type, title, severity, count, example, since)
        for type, severity, title, count, example, since, _ in groups
    ]
    fixes.sort(key=lambda fix: (Severity(fix.severity).rank, -fix.domains, fix.type))
    alerts: dict[str, int] = {}
    for group in groups:
        alerts[group[1]] = alerts.get(group[1], 0) + group[-1]
    by_rank = sorted(alerts.items(), key=lambda item: Severity(item[0]).rank)
    return Overview(dict(grades), dict(by_rank), fixes[:MAX_FIXES], worst)


def trends(account_id: UUID, domain_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[int]]:
    """By domain: the scores of its last scans, oldest first."""
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
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(numbered.c.domain_id, numbered.c.score)
            .where(numbered.c.number <= TREND_SCANS)
            .order_by(numbered.c.domain_id, numbered.c.id)
        ).all()
    found: dict[UUID, list[int]] = {}
    for domain_id, score in rows:
        if score and score.get("value") is not None:
            found.setdefault(domain_id, []).append(score["value"])
    return found


def mail(account_id: UUID, days: int) -> Sequence[tuple[date, Mapping[str, int]]]:
    """By day (UTC), today last: the messages that reports tell of, by ``pass`` and ``fail``."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1)
    start = periods.hour_of(datetime.combine(first, time(), UTC))
    rollup_queue.account_pending_count(account_id)
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(DmarcHour.hour, DmarcHour.dkim, DmarcHour.spf, func.sum(DmarcHour.messages))
            .join(Domain, Domain.id == DmarcHour.domain_id)
            .where(Domain.account_id == account_id, DmarcHour.hour >= start)
            .group_by(DmarcHour.hour, DmarcHour.dkim, DmarcHour.spf)
        ).all()
    found: dict[date, dict[str, int]] = {first + timedelta(days=n): {} for n in range(days)}
    for hour, dkim, spf, messages in rows:
        counts = found.get(periods.at(hour).date())
        if counts is not None:
            result = "pass" if dkim or spf else "fail"
            counts[result] = counts.get(result, 0) + int(messages)
    return list(found.items())


def first_steps(account_id: UUID) -> Mapping[str, bool]:
    """The first steps of a new account, and which of them are done."""
    with transaction(readonly=True) as session:
        used = select(ApiKey.id).where(
            ApiKey.account_id == account_id, ApiKey.last_used_at.is_not(None)
        )
        domain = select(Domain.id).where(Domain.account_id == account_id)
        report = select(ReportFile.id).where(ReportFile.account_id == account_id)
        return {
            "domain": session.scalar(domain.limit(1)) is not None,
            "report": session.scalar(report.limit(1)) is not None,
            "key": session.scalar(used.limit(1)) is not None,
        }
