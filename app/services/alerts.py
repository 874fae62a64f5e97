"""Alerts: opened, sustained and resolved by the rules; acknowledged and dismissed by people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.orm import Session

from app import db, ids
from app.checks.contract import Severity
from app.db import now, page, transaction
from app.errors import ApplicationError, InvalidRequest, NotFound, PreconditionFailed
from app.models import Alert, AlertTransition, Domain
from app.models.alerts import LIVE
from app.rules import reconcile
from app.rules.contract import Draft, P, Rule
from app.services import audit, domains, judgements

COLUMNS = (
    Alert.id,
    Alert.domain_id,
    Alert.domain_name,
    Alert.type,
    Alert.subject,
    Alert.severity,
    Alert.status,
    Alert.title,
    Alert.message,
    Alert.evidence,
    Alert.fix,
    Alert.reference,
    Alert.first_seen_at,
    Alert.last_seen_at,
    Alert.occurrences,
    Alert.snoozed_until,
    Alert.resolved_at,
    Alert.scan_id,
    Alert.report_id,
    Alert.updated_at,
)
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; ``domain`` is an id or a name, the times bound ``first_seen_at``."""

    status: str | None = None
    severity: str | None = None
    type: str | None = None
    domain: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What a person makes of an alert: open, acknowledged, dismissed, or snoozed until a time."""

    status: str
    note: str | None = None
    snoozed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one alert of many: either it, or why not."""

    id: str
    alert: Alert | None = None
    error: ApplicationError | None = None


def search(
    account_id: UUID, filters: AlertFilter, *, place: Sequence[Any] | None = None, limit: int = 50
) -> tuple[Sequence[Row[Any]], list[Any] | None]:
    """Rows of COLUMNS, newest first, and the place of the next page, if any.

    raises  NotFound for a domain that the account has not
    """
    with transaction(readonly=True) as session:
        statement: Select[Any] = select(*COLUMNS).where(Alert.account_id == account_id)
        if filters.domain:
            domain = domains.owned(session, account_id, filters.domain)
            statement = statement.where(Alert.domain_id == domain.id)
        for column, wanted in (
            (Alert.status, filters.status),
            (Alert.severity, filters.severity),
            (Alert.type, filters.type),
        ):
            if wanted:
                statement = statement.where(column == wanted)
        if filters.from_at:
            statement = statement.where(Alert.first_seen_at >= filters.from_at)
        if filters.to_at:
            statement = statement.where(Alert.first_seen_at < filters.to_at)
        return page(session, statement, (Alert.id.desc(),), place, limit)


def find(account_id: UUID, alert_id: UUID) -> Alert:
    """The alert.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _owned(session, account_id, alert_id)


def history(account_id: UUID, alert_id: UUID) -> Sequence[AlertTransition]:
    """Every change of its status, oldest first.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        _owned(session, account_id, alert_id)
        return session.scalars(
            select(AlertTransition)
            .where(AlertTransition.alert_id == alert_id)
            .order_by(AlertTransition.id)
        ).all()


def change(
    account_id: UUID,
    alert_id: UUID,
    wanted: AlertChange,
    *,
    actor: str,
    expected: datetime | None = None,
) -> Alert:
    """The alert, changed by a person.

    expected  its ``updated_at`` as the caller knows it
    raises    NotFound; InvalidRequest for a resolved alert, or a snooze that is over already;
              PreconditionFailed if it was changed since
    """
    with transaction() as session:
        alert = _owned(session, account_id, alert_id, lock=True)
        if expected is not None and alert.updated_at != expected:
            raise PreconditionFailed("The alert was changed meanwhile; read it again")
        _change(session, alert, wanted, actor)
        return alert


def change_many(
    account_id: UUID, alert_ids: Sequence[str], wanted: AlertChange, *, actor: str
) -> list[Changed]:
    """What became of each, in order; one that cannot be changed does not stop the rest."""
    parsed = {text: ids.parse("alert", text) for text in alert_ids}
    with transaction() as session:
        rows = session.scalars(
            select(Alert)
            .where(Alert.account_id == account_id, Alert.id.in_(filter(None, parsed.values())))
            .order_by(Alert.id)
            .with_for_update()
        )
        found = {row.id: row for row in rows}
        changed = []
        for text in alert_ids:
            alert_id = parsed[text]
            alert = found.get(alert_id) if alert_id else None
            try:
                if alert is None:
                    raise NotFound
                _change(session, alert, wanted, actor)
                changed.append(Changed(text, alert))
            except ApplicationError as error:
                changed.append(Changed(text, error=error))
        return changed


def wake_snoozed() -> int:
    """Open again what was snoozed until now; how many that were."""
    with transaction() as session:
        moment = now(session)
        alerts = session.scalars(
            select(Alert)
            .where(Alert.status == "snoozed", Alert.snoozed_until <= moment)
            .order_by(Alert.id)
            .limit(1_000)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in alerts:
            _move(session, alert, "open", SYSTEM, "the snooze is over", moment)
        return len(alerts)


def standing(session: Session, domain_ids: Iterable[UUID]) -> Mapping[UUID, list[Alert]]:
    """By domain: the alerts that are not resolved, locked until the commit; a step."""
    found: dict[UUID, list[Alert]] = {}
    for alert in session.scalars(
        select(Alert)
        .where(Alert.domain_id.in_(list(domain_ids)), Alert.status.in_(LIVE))
        .order_by(Alert.id)
        .with_for_update()
    ):
        found.setdefault(alert.domain_id, []).append(alert)
    return found


def evaluate(
    session: Session,
    owner: Domain,
    posture: P,
    standing: Iterable[Alert],
    *,
    rules: Sequence[Rule[P]],
    scan_id: UUID | None = None,
) -> dict[str, list[str]]:
    """Hold what stands against the rules, and write the difference; a step.

    standing  alerts of the owner; those of types that no rule has are left alone
    returns   the ids of the alerts ``opened``, ``sustained`` and ``resolved``
    """
    plan = reconcile.plan(standing, posture, rules)
    for alert, draft in plan.sustained:
        _sustain(session, alert, draft, posture.now, scan_id)
    for alert in plan.resolved:
        alert.scan_id = scan_id or alert.scan_id
        _move(session, alert, "resolved", SYSTEM, "no longer so", posture.now)
    opened = _open(session, owner, plan.opened, posture.now, scan_id)
    return {
        "opened": [ids.public("alert", alert_id) for alert_id in opened],
        "sustained": [ids.public("alert", alert.id) for alert, _ in plan.sustained],
        "resolved": [ids.public("alert", alert.id) for alert in plan.resolved],
    }


def _open(
    session: Session,
    domain: Domain,
    drafts: Sequence[Draft],
    moment: datetime,
    scan_id: UUID | None,
) -> list[UUID]:
    """Only who inserts the row opens the alert: the unique index decides."""  # fmt: skip
    if not drafts:
        return []
    rows = [
        {
            "id": ids.new(), "account_id": domain.account_id, "domain_id": domain.id,
            "domain_name": domain.name, "status": "open", "first_seen_at": moment,
            "last_seen_at": moment, "updated_at": moment, "occurrences": 1, "scan_id": scan_id,
            **_values(draft),
        }
        for draft in drafts
    ]  # fmt: skip
    statement = db.insert(session, Alert).on_conflict_do_nothing().returning(Alert.id)
    opened = list(session.scalars(statement, rows))
    if opened:
        session.execute(
            insert(AlertTransition),
            [
                _transition(domain.account_id, alert_id, None, "open", SYSTEM, None, moment)
                for alert_id in opened
            ],
        )
    return opened


def _sustain(
    session: Session, alert: Alert, draft: Draft, moment: datetime, scan_id: UUID | None
) -> None:
    is_worse = draft.severity.rank < Severity(alert.severity).rank
    old = alert.severity
    for name, value in _values(draft).items():
        setattr(alert, name, value)
    alert.last_seen_at, alert.updated_at = moment, moment
    alert.occurrences = alert.occurrences + 1
    alert.scan_id = scan_id or alert.scan_id
    if is_worse and alert.status != "open":
        note = f"the severity rose from {old} to {draft.severity}"
        _move(session, alert, "open", SYSTEM, note, moment)


def _values(draft: Draft) -> dict[str, Any]:
    return {
        "type": draft.type,
        "subject": draft.subject[:300],
        "severity": draft.severity.value,
        "title": draft.title[:200],
        "message": draft.message[:1000],
        "evidence": dict(draft.evidence),
        "fix": judgements.fix_json(draft.fix),
        "reference": draft.reference,
    }


def _change(session: Session, alert: Alert, wanted: AlertChange, actor: str) -> None:
    moment = now(session)
    if alert.status == "resolved":
        raise _invalid("status", "the alert is resolved; only its rule can open it again")
    if wanted.status == "snoozed" and not (wanted.snoozed_until and wanted.snoozed_until > moment):
        raise _invalid("snoozedUntil", "a time in the future is needed to snooze")
    if wanted.status != "snoozed" and wanted.snoozed_until is not None:
        raise _invalid("snoozedUntil", "only with the status snoozed")
    alert.snoozed_until = wanted.snoozed_until
    _move(session, alert, wanted.status, actor, wanted.note, moment)
    audit.record(
        session, alert.account_id, actor=actor, action="alert.changed",
        target=ids.public("alert", alert.id), status=wanted.status, note=wanted.note,
    )  # fmt: skip


def _move(
    session: Session, alert: Alert, status: str, actor: str, note: str | None, moment: datetime
) -> None:
    session.execute(
        insert(AlertTransition),
        [_transition(alert.account_id, alert.id, alert.status, status, actor, note, moment)],
    )
    alert.status, alert.updated_at = status, moment
    if status == "resolved":
        alert.resolved_at = moment
    if status != "snoozed":
        alert.snoozed_until = None


def _transition(
    account_id: UUID, alert_id: UUID, before: str | None, after: str, actor: str,
    note: str | None, moment: datetime,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": ids.new(), "alert_id": alert_id, "account_id": account_id, "at": moment,
        "from_status": before, "to_status": after, "actor": actor, "note": note,
    }  # fmt: skip


def _owned(session: Session, account_id: UUID, alert_id: UUID, *, lock: bool = False) -> Alert:
    statement = select(Alert).where(Alert.account_id == account_id, Alert.id == alert_id)
    alert = session.scalar(statement.with_for_update() if lock else statement)
    if alert is None:
        raise NotFound
    return alert


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest([{"field": field, "code": "invalid", "message": message}])
