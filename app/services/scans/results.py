"""Stores scan results in one transaction: result, domain state, DNS changes, score and alerts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Update, bindparam, insert, select, update
from sqlalchemy.orm import Session

from app import ids
from app.analysis.scan import score as scoring
from app.checks.engine.runner import ScanResult
from app.checks.engine.types import Usage
from app.db import bulk, transactions
from app.db.types import Base
from app.models import DnsChange, Domain, DomainState, Scan
from app.protocols import timestamps
from app.rules import RULES
from app.rules.engine.types import Change, Posture, ScorePoint
from app.rules.scans import dns as changes
from app.rules.scans import score as score_rules
from app.services.alerts import alerts
from app.services.alerts.alerts import ChangedAlerts, Evaluation
from app.services.core import batches, lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.scans import dkim_keys, serialization, starttls_probes
from app.services.scans.claims import LEASES, Claim

MIN_CHECKS = 90  # points of 100 that must be determined before alerts use the score

Result = tuple[Claim, ScanResult]


def store(results: Sequence[Result]) -> None:
    """Store these results, except where another attempt has claimed the scan by now.

    effects  one transaction for all; if it fails, one for each. A result that cannot be stored is
             logged and left: its lease expires, and another attempt is made
    """
    batches.write(
        results,
        _store,
        failure="failed to store scan results",
        log_fields=lambda failed: {"scan_ids": [str(claim.scan_id) for claim, _ in failed]},
    )


def _store(session: Session, results: Sequence[Result]) -> None:
    # Domains first and in order: deletions and scans take the same locks in the same order.
    rows = {
        row.id: row
        for row in session.scalars(
            select(Domain)
            .where(Domain.id.in_([claim.domain_id for claim, _ in results]))
            .order_by(Domain.id)
            .with_for_update(key_share=True)
        )
    }
    claimed = _still_leased(session, results)
    states = {
        state.domain_id: state
        for state in session.scalars(select(DomainState).where(DomainState.domain_id.in_(rows)))
    }
    now = transactions.now(session)
    recent = _recent_changes(session, rows, now)
    standing = alerts.live_alerts(session, rows)
    scan_rows = []
    for claim, examination in results:
        domain = rows.get(claim.domain_id)
        if domain is None or claim.scan_id not in claimed:
            continue
        state = states.get(domain.id) or _nothing_known(domain)
        scan_outcome = ScanOutcome(claim.scan_id, domain, state, examination, now)
        posture, live = scan_outcome.posture(recent.get(domain.id, [])), standing.get(domain.id, [])
        evaluation = Evaluation(domain, posture, live, claim.scan_id)
        outcome = alerts.evaluate(session, evaluation, RULES)
        scan_rows.append(scan_outcome.rows(outcome))
    if scan_rows:
        _write(session, scan_rows)
    for row in scan_rows:
        _log_completed(session, row)


def _log_completed(session: Session, row: "ScanRows") -> None:
    lifecycle_log.record(
        session,
        Lifecycle.SCAN_COMPLETED,
        account_id=row.state["account_id"],
        domain_id=row.state["domain_id"],
        scan_id=row.scan["of"],
        score=row.scan["score"]["value"],
        query_count=row.scan["query_count"],
    )


def _nothing_known(domain: Domain) -> DomainState:
    """The state of a domain before its first scan."""
    return DomainState(
        domain_id=domain.id,
        account_id=domain.account_id,
        last_results={},
        undetermined={},
        score={},
        score_history=[],
    )


class ScanRows(NamedTuple):
    """The column values to store for one scan; ``of`` is the id of the updated row.

    keys  the digests of the DKIM keys; None if they are unchanged
    """

    scan: Mapping[str, Any]
    state: Mapping[str, Any]
    domain: Mapping[str, Any]
    changes: Sequence[Mapping[str, Any]]
    keys: frozenset[str] | None


def _write(session: Session, written: Sequence[ScanRows]) -> None:
    """Store all rows with one statement per table: building one costs more than running it."""
    session.execute(_scan_ends(), [row.scan for row in written])
    states = bulk.insert(session, DomainState)
    session.connection().execute(
        states.on_conflict_do_update(
            index_elements=["domain_id"],
            set_={
                name: states.excluded[name]
                for name in ("last_results", "undetermined", "score", "score_history", "updated_at")
            },
        ),
        [row.state for row in written],
    )
    session.execute(_domain_has(), [row.domain for row in written])
    facts = [
        known["mx"]["facts"] for row in written if "mx" in (known := row.state["last_results"])
    ]
    starttls_probes.note(
        session, [host for mx_facts in facts for host in mx_facts.get("hosts", ())]
    )
    if changed := [change for row in written for change in row.changes]:
        session.execute(insert(DnsChange), changed)
    keys = [
        (row.state["account_id"], row.state["domain_id"], row.keys)
        for row in written
        if row.keys is not None
    ]
    if keys:
        dkim_keys.note(session, keys)


@cache
def _scan_ends() -> Update:
    return _by_id(
        Scan,
        ("finished_at", "query_count", "score", "summary", "result", "has_changes"),
        status="completed",
        lease_until=None,
    )


@cache
def _domain_has() -> Update:
    columns = ("score", "grade", "score_version", "last_scan_id", "last_scan_finished_at")
    return _by_id(Domain, columns, last_scan_status="completed")


def _by_id(table: type[Base], columns: Sequence[str], **constants: Any) -> Update:
    """An UPDATE of the row whose id is ``of``, for many parameter sets."""
    core: Any = table.__table__
    values = {name: bindparam(name, type_=core.c[name].type) for name in columns}
    return update(core).where(core.c.id == bindparam("of")).values(**values, **constants)


class ScanOutcome:
    """The outcome of one scan, and the rows that it changes."""

    def __init__(
        self,
        scan_id: UUID,
        domain: Domain,
        state: DomainState,
        examination: ScanResult,
        now: datetime,
    ) -> None:
        self._scan_id, self._domain, self._state, self._now = scan_id, domain, state, now
        self._examination = examination
        self._judgements = examination.check_results
        self._json = [serialization.as_json(judgement) for judgement in self._judgements]
        self._changes = changes.between(domain.name, state.last_results, self._judgements, now)
        self._known, self._unseen = serialization.merge_known_results(
            state.last_results,
            zip(self._judgements, self._json, strict=True),
            scan_id=ids.public("scan", scan_id),
            judged_at=timestamps.text(now),
        )
        self._score = scoring.score(self._known, Usage(domain.usage)).as_json()
        self._marks = _score_history(state.score_history or [], self._score, now)

    def posture(self, recent: Iterable[Change]) -> Posture:
        """The posture of the domain for the rules."""
        return Posture(
            domain=self._domain.name,
            now=self._now,
            check_results={judgement.check: judgement for judgement in self._judgements},
            changes=[*recent, *self._changes],
            last_results=self._state.last_results,
            score_history=self._marks,
        )

    def rows(self, outcome: ChangedAlerts) -> "ScanRows":
        """The rows to store; ``outcome`` has the ids of the changed alerts."""
        score, basis = self._score, _basis(self._score)
        scan = {
            "of": self._scan_id,
            "finished_at": self._now,
            "query_count": self._examination.query_count,
            "score": score,
            "summary": serialization.summary(self._judgements),
            "result": {"checks": self._json, "alerts": outcome},
            "has_changes": self._has_changes(outcome),
        }
        state = {
            "domain_id": self._domain.id,
            "account_id": self._domain.account_id,
            "last_results": self._known,
            "undetermined": self._unseen,
            "score": score,
            "score_history": [[mark.at, mark.value, mark.grade, basis] for mark in self._marks],
            "updated_at": self._now,
        }
        domain = {
            "of": self._domain.id,
            "score": score["value"],
            "grade": score["grade"],
            "score_version": score["version"],
            "last_scan_id": self._scan_id,
            "last_scan_finished_at": self._now,
        }
        keys = dkim_keys.of(self._known)
        is_same = keys == dkim_keys.of(self._state.last_results)
        changed = list(map(self._change_row, self._changes))
        return ScanRows(scan, state, domain, changed, None if is_same else keys)

    def _has_changes(self, outcome: ChangedAlerts) -> bool:
        """Whether a record, an alert or a definite verdict changed."""
        before = {check: known.get("verdict") for check, known in self._state.last_results.items()}
        after = {check: known.get("verdict") for check, known in self._known.items()}
        has_alert_changes = bool(outcome["opened"] or outcome["resolved"])
        return bool(self._changes) or has_alert_changes or before != after

    def _change_row(self, change: Change) -> dict[str, Any]:
        return {
            "id": ids.new(),
            "account_id": self._domain.account_id,
            "domain_id": self._domain.id,
            "scan_id": self._scan_id,
            "at": change.at,
            "check": change.check,
            "name": change.name,
            "type": change.type,
            "before": list(change.before),
            "after": list(change.after),
            "findings_appeared": list(change.findings_appeared),
            "findings_resolved": list(change.findings_resolved),
        }


def _score_history(
    stored: Sequence[Any], score: Mapping[str, Any], now: datetime
) -> list[ScorePoint]:
    """The last scores of the same basis including this one; empty if too little was determined."""
    if sum(part["maxPoints"] for part in score["points"]) < MIN_CHECKS:
        return []
    before = [
        ScorePoint(datetime.fromisoformat(at), value, grade)
        for at, value, grade, basis in stored
        if basis == _basis(score)
    ]
    return score_rules.retained(before, ScorePoint(now, score["value"], score["grade"]))


def _basis(score: Mapping[str, Any]) -> str:
    """The scoring version and checks; scores that differ in it cannot be compared."""
    return ",".join([str(score["version"]), *(part["check"] for part in score["points"])])


def _still_leased(session: Session, results: Sequence[Result]) -> set[UUID]:
    """The scans that this process still holds; locks their rows until the commit."""
    is_held = LEASES.is_held([claim.lease for claim, _ in results])
    rows = session.scalars(select(Scan.id).where(is_held).order_by(Scan.id).with_for_update())
    return set(rows)


def _recent_changes(
    session: Session, domain_ids: Iterable[UUID], now: datetime
) -> Mapping[UUID, list[Change]]:
    by_domain: dict[UUID, list[Change]] = {}
    rows = session.scalars(
        select(DnsChange)
        .where(
            DnsChange.domain_id.in_(list(domain_ids)),
            DnsChange.at > now - changes.CHANGE_WINDOW,
        )
        .order_by(DnsChange.id)
    )
    for row in rows:
        by_domain.setdefault(row.domain_id, []).append(
            Change(
                row.check,
                row.name,
                row.type,
                tuple(row.before),
                tuple(row.after),
                row.at,
                tuple(row.findings_appeared or ()),
                tuple(row.findings_resolved or ()),
            )
        )
    return by_domain
