"""Whether a domain meets the clauses of a compliance profile, by its last check results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.catalog.profiles.types import Clause, FactCondition, Profile
from app.checks.engine.types import Severity, Usage

CheckJson = Mapping[str, Any]


class Status(StrEnum):
    """The result of a clause or a profile; a profile is never ``NOT_OBSERVABLE``."""

    PASS = "pass"
    FAIL = "fail"
    UNDETERMINED = "undetermined"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class UnmetFact:
    """A fact that is not as a clause requires it."""

    fact: str
    expected: str
    observed: Any


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """The result of one clause.

    reason    why it is undetermined or not observable, as text for people
    findings  the findings that make it fail, as stored with the check results
    facts     the facts that make it fail
    """

    clause: Clause
    status: Status
    reason: str | None = None
    findings: Sequence[Mapping[str, Any]] = ()
    facts: Sequence[UnmetFact] = ()


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """The result of a profile, with the clauses that apply to the usage of the domain."""

    profile: Profile
    status: Status
    clauses: Sequence[ClauseResult]

    @property
    def is_complete(self) -> bool:
        """Whether every clause can be observed."""
        return all(result.status is not Status.NOT_OBSERVABLE for result in self.clauses)

    @property
    def summary(self) -> str:
        """The result as a sentence for people."""
        counts = {
            status: sum(result.status is status for result in self.clauses) for status in Status
        }
        if self.status is Status.FAIL:
            return f"Fails {counts[Status.FAIL]} of {len(self.clauses)} clauses"
        if self.status is Status.UNDETERMINED:
            return f"Undetermined: {counts[Status.UNDETERMINED]} clauses could not be checked"
        return "Passes" if self.is_complete else "Passes all clauses that can be observed"


@dataclass(frozen=True, slots=True)
class DomainResults:
    """The last results of a domain's checks.

    last_results  the last definite result of each check, as stored
    undetermined  why the last scan could not determine a check, by check
    codes         the codes of all findings
    determined    the checks with a result that is not undetermined
    """

    last_results: Mapping[str, CheckJson]
    undetermined: Mapping[str, str]
    usage: Usage
    codes: frozenset[str] = field(init=False, compare=False)
    determined: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Once: each clause reads them.
        codes = [f["code"] for result in self.last_results.values() for f in result["findings"]]
        object.__setattr__(self, "codes", frozenset(codes))
        determined = self.last_results.keys() - self.undetermined.keys()
        object.__setattr__(self, "determined", frozenset(determined))


def evaluate(profiles: Iterable[Profile], domain: DomainResults) -> list[ProfileResult]:
    """Return the result of each profile, in order.

    A clause is undetermined if a check that it uses is undetermined or was never run, whatever the
    results of its other checks. A profile fails if a clause fails. Otherwise it is undetermined if
    a clause is undetermined or if no clause could be observed. In all other cases it passes.
    """
    return [
        ProfileResult(
            profile,
            status_of(profile, domain),
            [_clause(clause, domain) for clause in _applicable(profile, domain)],
        )
        for profile in profiles
    ]


def status_of(profile: Profile, domain: DomainResults) -> Status:
    """Return the status of a profile as ``evaluate`` does, in a fraction of its time."""
    statuses = set()
    for clause in _applicable(profile, domain):
        status = _status(clause, domain)
        if status is Status.FAIL:
            return Status.FAIL
        statuses.add(status)
    if Status.UNDETERMINED in statuses or Status.PASS not in statuses:
        return Status.UNDETERMINED
    return Status.PASS


def _applicable(profile: Profile, domain: DomainResults) -> list[Clause]:
    usage = domain.usage.value
    return [clause for clause in profile.clauses if not clause.usages or usage in clause.usages]


def _status(clause: Clause, domain: DomainResults) -> Status:
    if not clause.is_observable:
        return Status.NOT_OBSERVABLE
    if not domain.determined.issuperset(clause.checks):
        return Status.UNDETERMINED
    if not domain.codes.isdisjoint(clause.fails_on):
        return Status.FAIL
    if not domain.codes.isdisjoint(clause.unknown_on):
        return Status.UNDETERMINED
    for condition in clause.facts:
        if not condition.holds(_observed(condition, domain)):
            return Status.FAIL
    return Status.PASS


def _clause(clause: Clause, domain: DomainResults) -> ClauseResult:
    match status := _status(clause, domain):
        case Status.NOT_OBSERVABLE:
            return ClauseResult(clause, status, clause.unobservable_reason)
        case Status.UNDETERMINED:
            return ClauseResult(clause, status, _reason(clause, domain))
        case Status.FAIL:
            return _failed(clause, domain)
    return ClauseResult(clause, status)


def _failed(clause: Clause, domain: DomainResults) -> ClauseResult:
    findings = _findings(clause, domain)
    unmet = [
        condition for condition in clause.facts if not condition.holds(_observed(condition, domain))
    ]
    failing = [finding for finding in findings if finding["code"] in clause.fails_on]
    facts = [
        UnmetFact(condition.name, condition.expected, _observed(condition, domain))
        for condition in unmet
    ]
    return ClauseResult(
        clause=clause,
        status=Status.FAIL,
        reason=None,
        findings=failing or _explaining(clause, unmet, findings),
        facts=facts,
    )


def _findings(clause: Clause, domain: DomainResults) -> list[Mapping[str, Any]]:
    return [
        finding for check in clause.checks for finding in domain.last_results[check]["findings"]
    ]


def _reason(clause: Clause, domain: DomainResults) -> str | None:
    """Why the clause is undetermined: a check has no result, or a finding decides nothing."""
    if reason := _missing_result(clause, domain):
        return reason
    findings = _findings(clause, domain)
    summaries = (f["summary"] for f in findings if f["code"] in clause.unknown_on)
    return next(summaries, None)


def _missing_result(clause: Clause, domain: DomainResults) -> str | None:
    """Why a check that the clause uses has no result; None if all of them have one."""
    for check in clause.checks:
        if check in domain.undetermined:
            return f"The last scan could not determine {check}: {domain.undetermined[check]}"
        if check not in domain.last_results:
            return f"The check {check} has not run yet"
    return None


def _observed(condition: FactCondition, domain: DomainResults) -> Any:
    return domain.last_results[condition.check]["facts"].get(condition.fact)


def _explaining(
    clause: Clause, unmet: Sequence[FactCondition], findings: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The findings that explain unmet facts: those that the clause names, else the most severe."""
    if clause.explained_by:
        return [finding for finding in findings if finding["code"] in clause.explained_by]
    checks = {condition.check for condition in unmet}
    of_checks = [finding for finding in findings if finding["code"].partition(".")[0] in checks]
    ranks = [Severity(finding["severity"]).rank for finding in of_checks]
    worst = min(ranks, default=Severity.INFO.rank)
    if worst > Severity.MEDIUM.rank:
        return []
    return [finding for finding, rank in zip(of_checks, ranks, strict=True) if rank == worst]
