"""Compares the check results of a draft with those of the published records.

A result that is not known is never better: what an undetermined check no longer reports may still
be there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.checks.engine.types import CheckResult, Finding, Severity, Verdict

_VERDICTS = (Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL)


class Effect(StrEnum):
    """What a draft does to a check or a finding, worst first."""

    WORSE = "worse"
    UNDETERMINED = "undetermined"
    BETTER = "better"
    UNCHANGED = "unchanged"


_ORDER = list(Effect)


@dataclass(frozen=True, slots=True)
class FindingChange:
    """The effect on one finding.

    finding        with the draft; for a finding that is gone, the one before
    before, after  None if the check does not have the finding
    """

    effect: Effect
    finding: Finding
    before: Finding | None
    after: Finding | None

    @property
    def severity(self) -> Severity:
        """The severity of the finding."""
        return self.finding.severity


@dataclass(frozen=True, slots=True)
class CheckChange:
    """The effect on one check; it is worse if anything is worse."""

    check: str
    effect: Effect
    before: CheckResult
    after: CheckResult
    findings: tuple[FindingChange, ...]


def compare(before: Sequence[CheckResult], after: Sequence[CheckResult]) -> tuple[CheckChange, ...]:
    """Return the effect on each check, in the order of the checks."""
    return tuple(_check(old, new) for old, new in zip(before, after, strict=True))


def overall(changes: Iterable[CheckChange]) -> Effect:
    """Return the worst effect on any check; unchanged if nothing is worse, unknown or better."""
    return min((change.effect for change in changes), key=_ORDER.index, default=Effect.UNCHANGED)


def worst_severity(changes: Iterable[CheckChange]) -> Severity | None:
    """Return the highest severity of the findings that are new or worse; None without any."""
    severities = [
        finding.severity
        for change in changes
        for finding in change.findings
        if finding.effect is Effect.WORSE
    ]
    return min(severities, key=lambda severity: severity.rank, default=None)


def _check(before: CheckResult, after: CheckResult) -> CheckChange:
    old, new = _by_key(before), _by_key(after)
    findings = [
        change
        for key in dict.fromkeys((*new, *old))
        for change in _finding(old.get(key), new.get(key), before=before, after=after)
    ]
    findings.sort(key=lambda change: (_ORDER.index(change.effect), change.severity.rank))
    effects = {change.effect for change in findings if change.severity is not Severity.INFO}
    effects.add(_verdict_effect(before.verdict, after.verdict))
    return CheckChange(
        check=after.check,
        effect=min(effects, key=_ORDER.index),
        before=before,
        after=after,
        findings=tuple(findings),
    )


def _finding(
    old: Finding | None, new: Finding | None, *, before: CheckResult, after: CheckResult
) -> Iterator[FindingChange]:
    """The effect on one finding, which at least one of the results has."""
    if old and new:
        effect = _severity_effect(old.severity, new.severity)
        yield FindingChange(effect=effect, finding=new, before=old, after=new)
    elif new:
        effect = Effect.WORSE if before.definite else Effect.UNDETERMINED
        yield FindingChange(effect=effect, finding=new, before=None, after=new)
    elif old:
        effect = Effect.BETTER if after.definite else Effect.UNDETERMINED
        yield FindingChange(effect=effect, finding=old, before=old, after=None)


def _severity_effect(old: Severity, new: Severity) -> Effect:
    if old is new:
        return Effect.UNCHANGED
    return Effect.WORSE if new.rank < old.rank else Effect.BETTER


def _verdict_effect(old: Verdict, new: Verdict) -> Effect:
    if Verdict.UNDETERMINED in (old, new):
        return Effect.UNDETERMINED
    difference = _VERDICTS.index(new) - _VERDICTS.index(old)
    if difference == 0:
        return Effect.UNCHANGED
    return Effect.WORSE if difference > 0 else Effect.BETTER


def _by_key(result: CheckResult) -> Mapping[tuple[str, str], Finding]:
    return {(finding.kind.code, finding.subject): finding for finding in result.findings}
