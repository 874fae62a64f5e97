"""Whether a domain meets the clauses of a compliance profile, by its last check results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    """

    last_results: Mapping[str, CheckJson]
    undetermined: Mapping[str, str]
    usage: Usage


def evaluate(profiles: Iterable[Profile], domain: DomainResults) -> list[ProfileResult]:
    """Return the result of each profile, in order.

    A clause is undetermined if a check that it uses is undetermined or was never run, whatever the
    results of its other checks. A profile fails if a clause fails. Otherwise it is undetermined if
    a clause is undetermined or if no clause could be observed. In all other cases it passes.
    """
    return [_profile(profile, domain) for profile in profiles]


def _profile(profile: Profile, domain: DomainResults) -> ProfileResult:
    clauses = [
        _clause(clause, domain)
        for clause in profile.clauses
        if not clause.usages or domain.usage.value in clause.usages
    ]
    statuses = {result.status for result in clauses}
    if Status.FAIL in statuses:
        status = Status.FAIL
    elif Status.UNDETERMINED in statuses or Status.PASS not in statuses:
        status = Status.UNDETERMINED
    else:
        status = Status.PASS
    return ProfileResult(profile, status, clauses)


def _clause(clause: Clause, domain: DomainResults) -> ClauseResult:
    if not clause.is_observable:
        return ClauseResult(clause, Status.NOT_OBSERVABLE, clause.unobservable_reason)
    if reason := _missing_result(clause, domain):
        return ClauseResult(clause, Status.UNDETERMINED, reason)
    findings = [
        finding for check in clause.checks for finding in domain.last_results[check]["findings"]
    ]
    failing = [finding for finding in findings if finding["code"] in clause.fails_on]
    if not failing and (unknown := _first(findings, clause.unknown_on)):
        return ClauseResult(clause, Status.UNDETERMINED, unknown["summary"])
    unmet = [
        condition for condition in clause.facts if not condition.holds(_observed(condition, domain))
    ]
    if not failing and not unmet:
        return ClauseResult(clause, Status.PASS)
    if not failing:
        failing = _explaining(clause, unmet, findings)
    facts = [
        UnmetFact(condition.name, condition.expected, _observed(condition, domain))
        for condition in unmet
    ]
    return ClauseResult(
        clause=clause, status=Status.FAIL, reason=None, findings=failing, facts=facts
    )


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


def _first(findings: Iterable[Mapping[str, Any]], codes: Sequence[str]) -> Mapping[str, Any] | None:
    return next((finding for finding in findings if finding["code"] in codes), None)


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
