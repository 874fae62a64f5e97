"""The difference between the alerts that stand and what the rules say now. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from app.rules.engine.types import AlertDraft, P, Rule, Unknown


class LiveAlert(Protocol):
    """An alert that is not resolved, as far as it matters here."""

    type: str
    subject: str


A = TypeVar("A", bound=LiveAlert)


@dataclass(slots=True)
class Plan(Generic[A]):
    """What is to be done: opened anew, seen again, and no longer so."""

    opened: list[AlertDraft] = field(default_factory=list)
    sustained: list[tuple[A, AlertDraft]] = field(default_factory=list)
    resolved: list[A] = field(default_factory=list)


def plan(standing: Iterable[A], posture: P, rules: Sequence[Rule[P]]) -> Plan[A]:
    """What ``rules`` make of the alerts that stand.

    An alert of which its rule cannot tell now is in none of the three lists: it stays as it is.
    """
    wanted: dict[tuple[str, str], AlertDraft] = {}
    kept: list[Unknown] = []
    judged: set[str] = set()
    for rule in rules:
        drafts = rule.evaluate(posture)
        if drafts is not None:
            judged |= rule.types
            for draft in drafts:
                if isinstance(draft, Unknown):
                    kept.append(draft)
                else:
                    wanted.setdefault((draft.type, draft.subject), draft)
    told = [
        alert
        for alert in standing
        if (alert.type, alert.subject) in wanted
        or not any(alert.type == keep.type and keep.matches(alert.subject) for keep in kept)
    ]
    return _difference(told, wanted, judged)


def _difference(
    standing: Iterable[A], wanted: Mapping[tuple[str, str], AlertDraft], judged: set[str]
) -> Plan[A]:
    result: Plan[A] = Plan()
    seen = set()
    for alert in standing:
        key = (alert.type, alert.subject)
        seen.add(key)
        if key in wanted:
            result.sustained.append((alert, wanted[key]))
        elif alert.type in judged:
            result.resolved.append(alert)
    result.opened = [draft for key, draft in wanted.items() if key not in seen]
    return result
