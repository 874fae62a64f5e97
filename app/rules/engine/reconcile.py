"""Compares the live alerts with what the rules yield now. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from app.rules.engine.types import AlertDraft, Causes, P, Rule, Unknown


class LiveAlert(Protocol):
    """The attributes of an unresolved alert that are used here."""

    type: str
    subject: str


A = TypeVar("A", bound=LiveAlert)


@dataclass(slots=True)
class Plan(Generic[A]):
    """The alerts to open, to refresh and to resolve.

    not_evaluated  the types of the alerts that a root cause held back, sorted
    """

    opened: list[AlertDraft] = field(default_factory=list)
    sustained: list[tuple[A, AlertDraft]] = field(default_factory=list)
    resolved: list[A] = field(default_factory=list)
    not_evaluated: list[str] = field(default_factory=list)


def plan(
    alerts: Iterable[A], posture: P, rules: Sequence[Rule[P]], causes: Causes | None = None
) -> Plan[A]:
    """Return the changes that the rules require of the live alerts.

    An alert that its rule cannot decide on now is in none of the three lists and stays unchanged;
    so does an alert that a root cause holds back.
    """
    drafts_by_key: dict[tuple[str, str], AlertDraft] = {}
    undecided: list[Unknown] = []
    evaluated: set[str] = set()
    for rule in rules:
        drafts = rule.evaluate(posture)
        if drafts is not None:
            evaluated |= rule.types
            for draft in drafts:
                if isinstance(draft, Unknown):
                    undecided.append(draft)
                else:
                    drafts_by_key.setdefault((draft.type, draft.subject), draft)
    decided = [
        alert
        for alert in alerts
        if (alert.type, alert.subject) in drafts_by_key
        or not any(alert.type == keep.type and keep.matches(alert.subject) for keep in undecided)
    ]
    if causes is None:
        return _difference(decided, drafts_by_key, evaluated)
    return _held_back(decided, drafts_by_key, evaluated, causes)


def _held_back(
    alerts: Iterable[A],
    drafts_by_key: Mapping[tuple[str, str], AlertDraft],
    evaluated: set[str],
    causes: Causes,
) -> Plan[A]:
    """The difference without the alerts that only repeat the root cause."""
    held = [key for key in drafts_by_key if causes.holds_back(*key)]
    types = sorted({type for type, _ in held})
    remaining = {
        key: _with_not_evaluated(draft, types, causes.reason) if causes.is_root(key[0]) else draft
        for key, draft in drafts_by_key.items()
        if key not in held
    }
    decided = [alert for alert in alerts if not causes.holds_back(alert.type, alert.subject)]
    result = _difference(decided, remaining, evaluated)
    result.not_evaluated = types
    return result


def _with_not_evaluated(draft: AlertDraft, types: Sequence[str], reason: str) -> AlertDraft:
    """The draft with the types of the alerts that it holds back as evidence."""
    if not types:
        return draft
    evidence = {**draft.evidence, "notEvaluated": types, "notEvaluatedBecause": reason}
    return replace(draft, evidence=evidence)


def _difference(
    alerts: Iterable[A], drafts_by_key: Mapping[tuple[str, str], AlertDraft], evaluated: set[str]
) -> Plan[A]:
    result: Plan[A] = Plan()
    seen = set()
    for alert in alerts:
        key = (alert.type, alert.subject)
        seen.add(key)
        if key in drafts_by_key:
            result.sustained.append((alert, drafts_by_key[key]))
        elif alert.type in evaluated:
            result.resolved.append(alert)
    result.opened = [draft for key, draft in drafts_by_key.items() if key not in seen]
    return result
