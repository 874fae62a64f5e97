"""The types of compliance profiles: what a published guideline requires, clause by clause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FactCondition:
    """A condition on one fact of a check; exactly one of the last four fields is set.

    one_of     the fact has one of these values
    contains   the fact is a list with this text, in any case
    is_set     the fact is neither null nor empty
    any_with   the fact is an object, and one of its values has accepted values in these fields
    """

    check: str
    fact: str
    one_of: tuple[Any, ...] = ()
    contains: str | None = None
    is_set: bool = False
    any_with: Mapping[str, tuple[Any, ...]] | None = None

    @property
    def name(self) -> str:
        """The fact with its check, like ``dmarc.effective_policy``."""
        return f"{self.check}.{self.fact}"

    @property
    def expected(self) -> str:
        """What the fact must be, as text for people."""
        if self.one_of:
            return " or ".join(map(_text, self.one_of))
        if self.contains is not None:
            return f"contains {self.contains}"
        if self.any_with is None:
            return "not empty"
        fields = (
            f"{name} {' or '.join(map(_text, values))}" for name, values in self.any_with.items()
        )
        return f"at least one with {', '.join(fields)}"

    def holds(self, value: Any) -> bool:
        """Whether the value of the fact meets the condition; None if the check has no such fact."""
        if self.one_of:
            return value in self.one_of
        if self.contains is not None:
            return self.contains.lower() in (str(item).lower() for item in value or ())
        if self.any_with is None:
            return bool(value)
        items = value.values() if isinstance(value, Mapping) else ()
        return any(
            all(item.get(name) in accepted for name, accepted in self.any_with.items())
            for item in items
        )


@dataclass(frozen=True, slots=True)
class Clause:
    """One requirement of a profile, in words of this project.

    source, source_date  the address of the text, and the date of its version: a year, a month or a
                         day; None if the source has no date
    usages               the usages of domains that it applies to; all if empty
    fails_on             finding codes; the clause fails with any of them
    facts                conditions; the clause fails unless all of them hold
    explained_by         finding codes that explain why a fact is not as required
    unknown_on           finding codes with which the checks cannot decide
    remediation          what to do if it fails
    unobservable_reason  why the checks cannot see it; None if they can
    checks               the checks that it uses, without duplicates
    """

    id: str
    text: str
    source: str
    source_date: str | None
    usages: tuple[str, ...] = ()
    fails_on: tuple[str, ...] = ()
    facts: tuple[FactCondition, ...] = ()
    explained_by: tuple[str, ...] = ()
    unknown_on: tuple[str, ...] = ()
    remediation: str | None = None
    unobservable_reason: str | None = None
    checks: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        codes = (*self.fails_on, *self.unknown_on)
        names = [code.partition(".")[0] for code in codes]
        checks = dict.fromkeys([*names, *(condition.check for condition in self.facts)])
        object.__setattr__(self, "checks", tuple(checks))  # once: each scan reads it

    @property
    def is_observable(self) -> bool:
        """Whether checks can decide it."""
        return self.unobservable_reason is None


@dataclass(frozen=True, slots=True)
class Profile:
    """A guideline or standard, as a list of clauses.

    source_read  the day on which the clauses were compared with the source; None: unknown
    note         what could not be confirmed in the source, or is left open by it
    """

    id: str
    name: str
    description: str
    source: str
    source_date: str | None
    clauses: Sequence[Clause]
    source_read: str | None = None
    note: str | None = None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
