"""What a rule is: it looks at all we know of a domain, and says what deserves an alert."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from app.checks.engine.types import CheckResult, Fix, Severity
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class Change:
    """One record set of the domain that two definite scans saw differently.

    check          whose question it was; it names the kind of record
    before, after  the values, sorted; empty: there were none
    opened, closed  codes of the findings that came and went with it, of all checks that saw it
    """

    check: str
    name: str
    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    at: datetime
    findings_appeared: tuple[str, ...] = ()
    findings_resolved: tuple[str, ...] = ()


class ScanContext(Protocol):
    """What any posture has: the moment at which all this is known."""

    @property
    def now(self) -> datetime: ...


P = TypeVar("P", bound=ScanContext)


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """A score that differs from the one before it; it held until the next."""

    at: datetime
    value: int
    grade: str


@dataclass(frozen=True, slots=True)
class Posture:
    """All we know of a domain, at one moment.

    judgements    of the scan that is being settled, by check
    changes       in DNS within CHANGE_WINDOW before ``now``, oldest first
    known         by check: the last definite judgement before this scan, as JSON
    marks         scores, oldest first; the first may be older than ``score.WINDOW``, the last one
                  is that of this scan; none: there is no score
    failed_scans  in a row, this one the last of them
    """

    domain: DomainName
    now: datetime
    check_results: Mapping[str, CheckResult]
    changes: Sequence[Change] = ()
    last_results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score_history: Sequence[ScorePoint] = ()
    failed_scans: int = 0

    def definite(self, check: str) -> CheckResult | None:
        """What this scan found, if it saw enough to tell."""
        judgement = self.check_results.get(check)
        return judgement if judgement is not None and judgement.definite else None


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """An alert as a rule wants it; (type, subject) is what it is about within the domain."""

    type: str
    subject: str
    severity: Severity
    title: str
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fix: Fix | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a rule cannot tell now of some subjects: alerts about them stay as they are."""

    type: str
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rule(Generic[P]):
    """``types``: all that it can yield, and so all that it can resolve.

    judge  the drafts, and what is to be kept; None: it cannot tell anything now
    proof  what is seen now, as JSON: it goes into the history of what the rule resolves
    """

    types: frozenset[str]
    evaluate: Callable[[P], Iterable[AlertDraft | Unknown] | None]
    resolution_evidence: Callable[[P], Mapping[str, Any]] = lambda _: {}
