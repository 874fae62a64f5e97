"""Stores scan results in one transaction: result, domain state, DNS changes, score and alerts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Update, bindparam, insert, select, update
from sqlalchemy.orm import Session

from app import ids
from app.analysis.scan import root_causes
from app.analysis.scan import score as scoring
from app.analysis.scan.profile_history import ProfileState
from app.analysis.scan.profiles import DomainResults
from app.analysis.scan.root_causes import RootCause
from app.checks.engine import stored_results
from app.checks.engine.runner import ScanResult
from app.checks.engine.types import Usage
from app.db import bulk, transactions
from app.db.types import Base
from app.models import Alert, DnsChange, Domain, DomainState, Scan
from app.models.stored_json import ChangedAlerts, StoredScorePoint
from app.protocols import timestamps
from app.rules import RULES
from app.rules.engine.types import Change, Posture, ScorePoint
from app.rules.scans import causes
from app.rules.scans import dns as changes
from app.rules.scans import score as score_rules
from app.rules.scans.causes import ScanCauses
from app.services.alerts import evaluation
from app.services.alerts.evaluation import Evaluation
from app.services.core import batches, lifecycle_log, profiles
from app.services.core.lifecycle_log import Lifecycle
from app.services.record_log import record_log
from app.services.record_log.record_log import Entry, EntryKind
from app.services.scans import dkim_keys, domain_columns, failures, serialization, starttls_probes
from app.services.scans.claims import LEASES, Claim

_CHANGES = ("has_changes", "verdict_changes")
MIN_CHECKS = 90  # points of 100 that must be determined before alerts use the score

Result = tuple[Claim, ScanResult]


def store(results: Sequence[Result]) -> None:
    """Store these results, except of scans that this process no longer holds.

    effects  one transaction for all; if it fails, one for each. A result that cannot be stored is
             logged and left: its lease expires, and another attempt is made. The reason is noted
             in the row, for the case that no attempt succeeds
    """
    batches.write(
        results,
        _store,
        failure="failed to store scan results",
        log_fields=lambda failed: {"scan_ids": [str(claim.scan_id) for claim, _ in failed]},
        note=lambda result, error: failures.note(result[0].lease, error),
    )


def _store(session: Session, results: Sequence[Result]) -> None:
    # Domains first and in order: deletions and scans take the same locks in the same order.
    domains = session.execute(
        select(Domain, DomainState.score_history)
        .outerjoin(DomainState, DomainState.domain_id == Domain.id)
        .where(Domain.id.in_([claim.domain_id for claim, _ in results]))
        .order_by(Domain.id)
        .with_for_update(key_share=True, of=Domain)
    ).all()
    rows = {domain.id: domain for domain, _ in domains}
    histories = {domain.id: history or [] for domain, history in domains}
    claimed = _still_leased(session, results)
    now = transactions.now(session)
    recent = _recent_changes(session, rows, now)
    followed = profiles.followed(session, {row.account_id for row in rows.values()})
    live_alerts = evaluation.live_alerts(session, rows)
    scan_rows = []
    for claim, scan_result in results:
        domain = rows.get(claim.domain_id)
        if domain is None or claim.scan_id not in claimed:
            continue
        scan_outcome = ScanOutcome(claim, domain, histories[domain.id], scan_result, now)
        profile_state = scan_outcome.profiles(followed.get(domain.account_id, ()))
        subject = scan_outcome.evaluation(
            recent.get(domain.id, []), profile_state, live_alerts.get(domain.id, [])
        )
        outcome = evaluation.evaluate(session, subject, RULES)
        scan_rows.append(scan_outcome.rows(outcome, profile_state))
    if scan_rows:
        _write(session, scan_rows)
    for row in scan_rows:
        _log_completed(session, row, claimed[row.scan["of"]])


def _log_completed(session: Session, row: "ScanRows", started_at: datetime | None) -> None:
    lifecycle_log.record(
        session,
        Lifecycle.SCAN_COMPLETED,
        account_id=row.state["account_id"],
        domain_id=row.state["domain_id"],
        scan_id=row.scan["of"],
        score=row.scan["score"]["value"],
        query_count=row.scan["query_count"],
        duration_ms=serialization.duration_ms(started_at, row.scan["finished_at"]),
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


def _write(session: Session, rows: Sequence[ScanRows]) -> None:
    """Store all rows with one statement per table: building one costs more than running it."""
    session.execute(_update_scan(), [row.scan for row in rows])
    record_log.append(session, map(_log_entry, rows))
    states = bulk.insert(session, DomainState)
    session.connection().execute(
        states.on_conflict_do_update(
            index_elements=["domain_id"],
            set_={
                name: states.excluded[name]
                for name in ("last_results", "undetermined", "score", "score_history", "updated_at")
            },
        ),
        [row.state for row in rows],
    )
    session.execute(_update_domain(), [row.domain for row in rows])
    starttls_probes.schedule(session, [host for row in rows for host in _mail_hosts(row)])
    if changed := [change for row in rows for change in row.changes]:
        session.execute(insert(DnsChange), changed)
    keys = [
        (row.state["account_id"], row.state["domain_id"], row.keys)
        for row in rows
        if row.keys is not None
    ]
    if keys:
        dkim_keys.replace(session, keys)


def _log_entry(row: ScanRows) -> Entry:
    checks = row.scan["result"]["checks"]
    return Entry(
        account_id=row.state["account_id"],
        domain_id=row.state["domain_id"],
        kind=EntryKind.SCAN,
        row_id=row.scan["of"],
        size=1 + sum(len(check["findings"]) for check in checks),
    )


def _mail_hosts(row: ScanRows) -> Sequence[str]:
    mx = row.state["last_results"].get("mx")
    return mx["facts"].get("hosts", ()) if mx else ()


@cache
def _update_scan() -> Update:
    return _by_id(
        Scan,
        ("finished_at", "query_count", "score", "summary", "result", *_CHANGES),
        status="completed",
        error=None,
        lease_until=None,
    )


@cache
def _update_domain() -> Update:
    return _by_id(Domain, domain_columns.NAMES, last_scan_status="completed")


def _by_id(table: type[Base], columns: Sequence[str], **constants: Any) -> Update:
    """An UPDATE of the row whose id is ``of``, for many parameter sets."""
    core: Any = table.__table__
    values = {name: bindparam(name, type_=core.c[name].type) for name in columns}
    return update(core).where(core.c.id == bindparam("of")).values(**values, **constants)


class ScanOutcome:
    """The outcome of one scan, and the rows that it changes.

    The last results are those that the claim read: while its lease is held, no other scan of the
    domain stores any.

    score_history  the stored one
    """

    def __init__(
        self,
        claim: Claim,
        domain: Domain,
        score_history: Sequence[StoredScorePoint],
        scan_result: ScanResult,
        now: datetime,
    ) -> None:
        self._scan_id, self._domain, self._now = claim.scan_id, domain, now
        self._previous = previous = claim.subject.last_results
        self._scan_result = scan_result
        self._results = scan_result.check_results
        self._json = [stored_results.as_json(result) for result in self._results]
        self._root_cause = causes.root(self._results, previous)
        self._changes = causes.with_root_causes(
            changes.between(domain.name, previous, self._results, now),
            root_causes.of_stored(previous),
            self._root_cause,
        )
        self._last_results, self._undetermined = serialization.merge_known_results(
            previous,
            zip(self._results, self._json, strict=True),
            scan_id=ids.public("scan", claim.scan_id),
            checked_at=timestamps.text(now),
        )
        self._score = scoring.score(self._last_results, Usage(domain.usage)).as_json()
        self._basis = _basis(self._score, self._root_cause)
        self._score_history = _score_history(score_history, self._score, self._basis, now)

    def profiles(self, followed_ids: Collection[str]) -> ProfileState:
        """Return the state of the compliance profiles, with details of the followed ones."""
        usage = Usage(self._domain.usage)
        known = DomainResults(self._last_results, self._undetermined, usage)
        return profiles.state(known, self._domain.profile_results, followed_ids)

    def evaluation(
        self, recent: Iterable[Change], profile_state: ProfileState, live: Sequence[Alert]
    ) -> Evaluation[Posture]:
        """Return what the rules are applied to."""
        posture = Posture(
            domain=self._domain.name,
            now=self._now,
            check_results={result.check: result for result in self._results},
            changes=[*recent, *self._changes],
            last_results=self._previous,
            score_history=self._score_history,
            profiles=profile_state.followed,
        )
        return Evaluation(
            owner=self._domain,
            posture=posture,
            live=live,
            scan_id=self._scan_id,
            causes=ScanCauses(posture, self._root_cause),
        )

    def rows(self, outcome: ChangedAlerts, profile_state: ProfileState) -> "ScanRows":
        """Return the rows to store, given the ids of the changed alerts."""
        scan = {
            "of": self._scan_id,
            "finished_at": self._now,
            "query_count": self._scan_result.query_count,
            "score": self._score,
            "summary": serialization.summary(self._results),
            "result": {"checks": self._json, "alerts": outcome},
            "has_changes": self._has_changes(outcome),
            "verdict_changes": self._verdict_changes() or None,
        }
        state = {
            "domain_id": self._domain.id,
            "account_id": self._domain.account_id,
            "last_results": self._last_results,
            "undetermined": self._undetermined,
            "score": self._score,
            "score_history": self._stored_score_history(),
            "updated_at": self._now,
        }
        domain = {
            "of": self._domain.id,
            **domain_columns.of_results(self._last_results, self._score, self._score_history),
            "profile_results": profile_state.words,
            "last_scan_id": self._scan_id,
            "last_scan_finished_at": self._now,
        }
        keys = dkim_keys.of(self._last_results)
        is_same = keys == dkim_keys.of(self._previous)
        return ScanRows(
            scan=scan,
            state=state,
            domain=domain,
            changes=[self._change_row(change) for change in self._changes],
            keys=None if is_same else keys,
        )

    def _has_changes(self, outcome: ChangedAlerts) -> bool:
        """Whether a record, an alert or a definite verdict changed."""
        is_new = self._previous.keys() != self._last_results.keys()
        has_alert_changes = bool(outcome["opened"] or outcome["resolved"])
        return bool(self._changes) or has_alert_changes or is_new or bool(self._verdict_changes())

    def _verdict_changes(self) -> dict[str, list[str]]:
        return serialization.verdict_changes(self._previous, self._last_results)

    def _stored_score_history(self) -> list[StoredScorePoint]:
        return [
            (point.at.isoformat(), point.value, point.grade, self._basis)
            for point in self._score_history
        ]

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
            "root_appeared": change.root_appeared,
            "root_resolved": change.root_resolved,
        }


def _score_history(
    stored: Sequence[StoredScorePoint], score: Mapping[str, Any], basis: str, now: datetime
) -> list[ScorePoint]:
    """The last scores of the same basis including this one; empty if too little was determined."""
    if sum(part["maxPoints"] for part in score["points"]) < MIN_CHECKS:
        return []
    before = [
        ScorePoint(datetime.fromisoformat(at), value, grade)
        for at, value, grade, basis_then in stored
        if basis_then == basis
    ]
    return score_rules.retained(before, ScorePoint(now, score["value"], score["grade"]))


def _basis(score: Mapping[str, Any], root_cause: RootCause | None) -> str:
    """The scoring version, checks and root cause; scores that differ in it cannot be compared."""
    checks = [part["check"] for part in score["points"]]
    return ",".join([str(score["version"]), *checks, *([root_cause.kind] if root_cause else [])])


def _still_leased(session: Session, results: Sequence[Result]) -> Mapping[UUID, datetime | None]:
    """When the scans that this process still holds started; locks their rows until the commit."""
    is_held = LEASES.is_held([claim.lease for claim, _ in results])
    rows = session.execute(
        select(Scan.id, Scan.started_at).where(is_held).order_by(Scan.id).with_for_update()
    )
    return {row.id: row.started_at for row in rows}


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
                check=row.check,
                name=row.name,
                type=row.type,
                before=tuple(row.before),
                after=tuple(row.after),
                at=row.at,
                findings_appeared=tuple(row.findings_appeared or ()),
                findings_resolved=tuple(row.findings_resolved or ()),
                root_appeared=row.root_appeared,
                root_resolved=row.root_resolved,
            )
        )
    return by_domain
