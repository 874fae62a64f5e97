"""The types of alert rules: a rule takes a posture and yields the alerts that should be open."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from app.analysis.scan.profile_history import FollowedResult
from app.checks.engine.types import CheckResult, Fix, Severity
from app.protocols.json_values import JsonObject
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class Change:
    """One record set of the domain that differed between two conclusive scans.

    check                                 the check that queried it; determines the kind of record
    before, after                         the values, sorted; empty if there were none
    findings_appeared, findings_resolved  codes of findings, of all checks that read the record set
    root_appeared, root_resolved          the kind of root cause that the change is part of
    """

    check: str
    name: str
    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    at: datetime
    findings_appeared: tuple[str, ...] = ()
    findings_resolved: tuple[str, ...] = ()
    root_appeared: str | None = None
    root_resolved: str | None = None


class ScanContext(Protocol):
    """What every posture has: the time at which it was taken."""

    @property
    def now(self) -> datetime: ...


P = TypeVar("P", bound=ScanContext)


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """A score that differs from the previous one; it held until the next one."""

    at: datetime
    value: int
    grade: str


@dataclass(frozen=True, slots=True)
class Posture:
    """What is known about a domain after a scan, at the time ``now``.

    check_results  results of this scan, by check
    changes        in DNS within CHANGE_WINDOW before ``now``, oldest first
    last_results   the last definite result before this scan as JSON, by check
    score_history  scores, oldest first; the first may be older than ``score.WINDOW``, the last one
                   is that of this scan; empty if there is no score
    failed_scans   the number of consecutive failed scans, including this one
    """

    domain: DomainName
    now: datetime
    check_results: Mapping[str, CheckResult]
    changes: Sequence[Change] = ()
    last_results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score_history: Sequence[ScorePoint] = ()
    failed_scans: int = 0
    profiles: Sequence[FollowedResult] | None = None

    def definite(self, check: str) -> CheckResult | None:
        """Return the result of this check in this scan, if it is definite."""
        result = self.check_results.get(check)
        return result if result is not None and result.definite else None


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """An alert that a rule yields; (type, subject) identifies it within the domain."""

    type: str
    subject: str
    severity: Severity
    title: str
    message: str
    evidence: JsonObject = field(default_factory=dict)
    fix: Fix | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Subjects that a rule cannot decide on now: their alerts stay unchanged."""

    type: str
    matches: Callable[[str], bool]


class Causes(Protocol):
    """Which alerts only repeat a root cause, and which alerts have one cause."""

    @property
    def reason(self) -> str:
        """Why alerts are held back, as the end of "Not evaluated because …"."""

    def is_root(self, type: str) -> bool:
        """Return whether alerts of this type report the root cause."""

    def holds_back(self, type: str, subject: str) -> bool:
        """Return whether an alert only repeats the root cause, so that it cannot be decided now."""

    def key(self, draft: AlertDraft) -> str | None:
        """Return a key that alerts with the same cause share; None if it is its own cause."""


@dataclass(frozen=True, slots=True)
class Rule(Generic[P]):
    """A rule and the alert types that it opens and resolves.

    types                every type that the rule can yield; it resolves alerts of these types only
    evaluate             yields the alerts to open, and the subjects that it cannot decide on;
                         None if the rule cannot decide now
    resolution_evidence  the current observations, stored in the history of resolved alerts
    """

    types: frozenset[str]
    evaluate: Callable[[P], Iterable[AlertDraft | Unknown] | None]
    resolution_evidence: Callable[[P], JsonObject] = lambda _: {}
