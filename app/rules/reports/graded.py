"""Applies report rules so that no alert above info depends on unverified reports. Pure.

Each rule runs twice: on trusted reports, and on all reports. Alerts that only the second run yields
are info. So every alert above info depends on trusted reports only.
"""

from collections.abc import Iterable
from dataclasses import replace

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Rule, Unknown
from app.rules.reports.posture import GradedPosture, ReportPosture

Outcome = Iterable[AlertDraft | Unknown] | None

# Alerts on missing reports. A single report, trusted or not, disproves them, so both runs must
# yield them.
ABSENCES = frozenset(("reports.none_received", "reports.reporter_stopped", "dkim.selector_gone"))


def graded(rule: Rule[ReportPosture]) -> Rule[GradedPosture]:
    """Return the rule applied to trusted reports and to all reports."""

    def evaluate(posture: GradedPosture) -> Outcome:
        everything = rule.evaluate(posture.everything)
        if posture.trusted is posture.everything:
            return everything
        trusted = rule.evaluate(posture.trusted)
        if rule.types <= ABSENCES:
            return None if everything is None else _confirmed(everything, trusted or ())
        if trusted is None and everything is None:
            return None
        return _joined(trusted or (), everything or ())

    return Rule(rule.types, evaluate, lambda posture: rule.resolution_evidence(posture.everything))


def _confirmed(
    everything: Iterable[AlertDraft | Unknown], trusted: Iterable[AlertDraft | Unknown]
) -> list[AlertDraft | Unknown]:
    """The drafts of all reports; above info only those that trusted reports yield, too."""
    by_subject = {_key(draft): draft for draft in trusted if isinstance(draft, AlertDraft)}
    return [
        by_subject.get(_key(draft), _capped(draft)) if isinstance(draft, AlertDraft) else draft
        for draft in everything
    ]


def _joined(
    trusted: Iterable[AlertDraft | Unknown], everything: Iterable[AlertDraft | Unknown]
) -> list[AlertDraft | Unknown]:
    """The drafts of trusted reports, and as info those that only all reports yield."""
    drafts = list(trusted)
    trusted_keys = {_key(draft) for draft in drafts if isinstance(draft, AlertDraft)}
    for draft in everything:
        if isinstance(draft, Unknown):
            drafts.append(draft)
        elif _key(draft) not in trusted_keys:
            drafts.append(_capped(draft))
    return drafts


def _key(draft: AlertDraft) -> tuple[str, str]:
    return draft.type, draft.subject


def _capped(draft: AlertDraft) -> AlertDraft:
    return replace(draft, severity=Severity.INFO)
