"""Results of scans for all domains of an account: those of one real scan, copied."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, inspect, select, update

from app import ids
from app.db.transactions import transaction
from app.models import Alert, AlertTransition, Domain, DomainState, Scan
from app.services.domain_status import mail_figures
from app.services.domains import domains as domain_service
from app.services.domains.domains import NewDomain
from app.services.scans import runner, scans
from tests.support.api_scans import BAD
from tests.support.zones import Zone, ZoneNetwork

ACTOR = "cli:bench"
BATCH_SIZE = 500  # domains of a transaction
SCANNED = "acme.test"  # the domain of the zone
GRADES = "FFFFFDDCBA"
POLICIES = ("none", "quarantine", "reject", "missing")


def make(account_id: UUID, domains: Mapping[str, UUID]) -> None:
    """Give each domain a scan, its results, and alerts; scores and policies differ."""
    results = _scan(account_id)
    numbered = [(number, name, id) for number, (name, id) in enumerate(domains.items())]
    for start in range(0, len(numbered), BATCH_SIZE):
        _copy(results, numbered[start : start + BATCH_SIZE])
    mail_figures.refresh()


def _scan(account_id: UUID) -> dict[str, Any]:
    """Scan one domain; returns its rows as values by column."""
    domain = domain_service.create(account_id, NewDomain(SCANNED, schedule="off"), actor=ACTOR)
    scan = scans.trigger(account_id, SCANNED, actor=ACTOR).scan
    runner.run([scan.id], ZoneNetwork(Zone(BAD)))
    with transaction(readonly=True) as session:

        def rows(model: type[Any], column: Any) -> list[dict[str, Any]]:
            return [
                _values(row) for row in session.scalars(select(model).where(column == domain.id))
            ]

        alerts = rows(Alert, Alert.domain_id)
        changes = session.scalars(select(AlertTransition)).all()
        return {
            "domain": rows(Domain, Domain.id)[0],
            "state": rows(DomainState, DomainState.domain_id)[0],
            "scan": rows(Scan, Scan.domain_id)[0],
            "alerts": alerts,
            "changes": {change.alert_id: _values(change) for change in changes},
        }


def _values(row: Any) -> dict[str, Any]:
    """The values of a row by column, with those that are loaded on demand."""
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def _copy(results: Mapping[str, Any], domains: Iterable[tuple[int, str, UUID]]) -> None:
    states, copies, alerts, changes, updates = [], [], [], [], []
    for number, name, id in domains:
        scan_id = ids.new()
        score = number * 37 % 101
        owner = {"domain_id": id, "domain_name": name}
        copies.append({**results["scan"], **owner, "id": scan_id})
        states.append({**results["state"], "domain_id": id})
        updates.append(
            {
                "id": id,
                "score": score,
                "grade": GRADES[min(score // 10, 9)],
                "dmarc_policy": POLICIES[number % len(POLICIES)],
                "last_scan_id": scan_id,
                **{key: results["domain"][key] for key in ("last_scan_status", "score_version")},
                "last_scan_finished_at": results["domain"]["last_scan_finished_at"],
            }
        )
        for alert, change in _alerts(results):
            alerts.append({**alert, **owner, "scan_id": scan_id})
            changes.append(change)
    with transaction() as session:
        session.execute(
            delete(DomainState).where(DomainState.domain_id.in_([s["domain_id"] for s in states]))
        )
        for model, rows in ((DomainState, states), (Scan, copies), (Alert, alerts)):
            session.execute(insert(model), rows)
        session.execute(insert(AlertTransition), changes)
        session.execute(update(Domain), updates)


def _alerts(results: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Copies of the alerts with new ids, each with its first transition."""
    for alert in results["alerts"]:
        id = ids.new()
        change = {**results["changes"][alert["id"]], "id": ids.new(), "alert_id": id}
        yield {**alert, "id": id, "cause_id": ids.new()}, change
