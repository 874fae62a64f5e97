"""What has changed in an account since a time: records, checks, senders and alerts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app import ids
from app.analysis.scan.labels import VERDICTS, check_name, is_worse
from app.models import Alert, DnsChange, Domain, Scan

MAX_OF_KIND = 5
MAX_COUNT = 1_000  # more rows of one kind are not counted
NEW_SENDERS = ("source.new", "source.new_failing", "source.new_known_service")


class ChangeKind(StrEnum):
    """What has changed."""

    RECORD = "record"
    CHECK = "check"
    SENDER = "sender"
    ALERT = "alert"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentChange:
    """One change.

    domain    None if the alert is about the account itself
    check     the check of a record or of a verdict
    alert_id  of an alert; None for a record or a verdict
    is_good   whether a verdict became better, or an alert was resolved; None: neither good nor bad
    """

    kind: ChangeKind
    at: datetime
    domain: str | None
    text: str
    check: str | None = None
    alert_id: UUID | None = None
    is_good: bool | None = None


@dataclass(frozen=True, slots=True)
class RecentChanges:
    """The changes since a time.

    listed  newest first, at most MAX_OF_KIND of each kind
    counts  the number of rows of each kind, at most MAX_COUNT
    """

    listed: Sequence[RecentChange]
    counts: Mapping[ChangeKind, int]

    @property
    def more(self) -> int:
        """The number of changes that are not listed."""
        return max(0, sum(self.counts.values()) - len(self.listed))


def read(
    session: Session, account_id: UUID, since: datetime, scope: Select[Any] | None = None
) -> RecentChanges:
    """Return the changes of the account since a time; runs in the caller's transaction.

    scope  selects the ids of the domains to which the changes are limited; None: all changes
    """
    listed: list[RecentChange] = []
    counts: dict[ChangeKind, int] = {}
    for kind, (statement, shown) in _READERS.items():
        selected = _within(statement(account_id, since), kind, scope)
        rows = session.execute(selected.limit(MAX_OF_KIND)).all()
        changes = [change for row in rows for change in shown(row)]
        bounded = selected.order_by(None).limit(MAX_COUNT).subquery()
        is_all = len(rows) < MAX_OF_KIND
        count = len(rows) if is_all else session.scalar(select(func.count()).select_from(bounded))
        listed += changes[:MAX_OF_KIND]
        counts[kind] = max(int(count or 0), len(changes))
    return RecentChanges(sorted(listed, key=lambda change: change.at, reverse=True), counts)


def _within(statement: Any, kind: ChangeKind, scope: Select[Any] | None) -> Any:
    """The statement, limited to the domains of the scope."""
    if scope is None:
        return statement
    columns = {ChangeKind.RECORD: DnsChange.domain_id, ChangeKind.CHECK: Scan.domain_id}
    return statement.where(columns.get(kind, Alert.domain_id).in_(scope))


def _records(account_id: UUID, since: datetime) -> Any:
    return (
        select(
            DnsChange.at,
            DnsChange.check,
            DnsChange.name,
            DnsChange.type,
            DnsChange.before,
            DnsChange.after,
            Domain.name.label("domain"),
        )
        .join(Domain, Domain.id == DnsChange.domain_id)
        .where(DnsChange.account_id == account_id, DnsChange.id >= ids.first_at(since))
        .order_by(DnsChange.id.desc())
    )


def _record(row: Any) -> Sequence[RecentChange]:
    act = "changed" if row.before and row.after else "was added" if row.after else "was removed"
    text = f"The {row.type} record at {row.name} {act}."
    kind = ChangeKind.RECORD
    return [RecentChange(kind=kind, at=row.at, domain=row.domain, text=text, check=row.check)]


def _checks(account_id: UUID, since: datetime) -> Any:
    return (
        select(Scan.finished_at, Scan.domain_name, Scan.verdict_changes)
        .where(
            Scan.account_id == account_id,
            Scan.verdict_changes.is_not(None),
            Scan.finished_at >= since,
        )
        .order_by(Scan.finished_at.desc())
    )


def _check(row: Any) -> Sequence[RecentChange]:
    return [
        RecentChange(
            kind=ChangeKind.CHECK,
            at=row.finished_at,
            domain=row.domain_name,
            text=f"{check_name(check)} became {'worse' if is_worse(before, after) else 'better'}: "
            f"{VERDICTS[after]}, previously {VERDICTS[before]}.",
            check=check,
            is_good=not is_worse(before, after),
        )
        for check, (before, after) in row.verdict_changes.items()
    ]


_ALERT = (Alert.id, Alert.type, Alert.title, Alert.severity, Alert.message, Alert.domain_name)


def _opened(account_id: UUID, since: datetime) -> Any:
    return (
        select(*_ALERT, Alert.first_seen_at.label("at"))
        .where(Alert.account_id == account_id, Alert.id >= ids.first_at(since))
        .order_by(Alert.id.desc())
    )


def _alerts(account_id: UUID, since: datetime) -> Any:
    return _opened(account_id, since).where(Alert.type.not_in(NEW_SENDERS))


def _alert(row: Any) -> Sequence[RecentChange]:
    text = f"New alert ({row.severity}): {row.title}."
    return [_of_alert(ChangeKind.ALERT, row, text)]


def _senders(account_id: UUID, since: datetime) -> Any:
    return _opened(account_id, since).where(Alert.type.in_(NEW_SENDERS))


def _sender(row: Any) -> Sequence[RecentChange]:
    first = row.message.removeprefix(f"{row.domain_name}: ").partition(";")[0]
    return [_of_alert(ChangeKind.SENDER, row, f"New sender: {first}.")]


def _resolved(account_id: UUID, since: datetime) -> Any:
    return (
        select(*_ALERT, Alert.resolved_at.label("at"))
        .where(Alert.account_id == account_id, Alert.resolved_at >= since)
        .order_by(Alert.resolved_at.desc())
    )


def _resolved_alert(row: Any) -> Sequence[RecentChange]:
    return [_of_alert(ChangeKind.RESOLVED, row, f"Resolved: {row.title}.")]


def _of_alert(kind: ChangeKind, row: Any, text: str) -> RecentChange:
    return RecentChange(
        kind=kind,
        at=row.at,
        domain=row.domain_name,
        text=text,
        alert_id=row.id,
        is_good=True if kind is ChangeKind.RESOLVED else None,
    )


_Statement = Callable[[UUID, datetime], Any]
_READERS: Mapping[ChangeKind, tuple[_Statement, Callable[[Any], Sequence[RecentChange]]]] = {
    ChangeKind.RECORD: (_records, _record),
    ChangeKind.CHECK: (_checks, _check),
    ChangeKind.SENDER: (_senders, _sender),
    ChangeKind.ALERT: (_alerts, _alert),
    ChangeKind.RESOLVED: (_resolved, _resolved_alert),
}
