"""Alerts on a DMARC policy that can be made stricter."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from app.checks.engine.types import Fix, Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import ReportPosture

UNCHANGED_AFTER = timedelta(days=30)


def _ready(posture: ReportPosture) -> list[AlertDraft] | None:
    step = posture.step
    if posture.policy is None or (step and step.is_ready is None):
        return None
    if step is None or not step.is_ready:
        return []
    observed = {
        "tag": step.tag,
        "current": step.current.value,
        "proposed": step.proposed.value,
        "spoofed": step.spoofed,
        "legitimateFailing": step.legitimate_failing,
    }
    drafts = [
        AlertDraft(
            type="dmarc.ready_for_next_policy",
            subject=posture.domain,
            severity=Severity.INFO,
            title=f"Ready for a stricter DMARC policy ({step.tag}={step.proposed})",
            message=f"{posture.domain}: with {step.tag}={step.proposed} none of your own sources "
            "would lose email. Publish the new record.",
            evidence={"observed": observed},
            fix=_fix(posture),
            reference="RFC 9989 §4.7",
        )
    ]
    return [*drafts, *_still_none(posture, observed)]


def _still_none(posture: ReportPosture, observed: Mapping[str, Any]) -> Iterator[AlertDraft]:
    since = posture.policy_since or posture.monitored_since
    if posture.policy == "none" and posture.now - since >= UNCHANGED_AFTER:
        days = (posture.now - since).days
        yield AlertDraft(
            type="dmarc.policy_none_standing",
            subject=posture.domain,
            severity=posture.capped(Severity.LOW),
            title="DMARC policy still p=none although ready to enforce",
            message=f"{posture.domain}: the DMARC policy has been p=none for {days} days, so "
            "receivers deliver spoofed email. Publish the stricter record.",
            evidence={
                "observed": {"days": days, **observed},
                "threshold": {"days": UNCHANGED_AFTER.days},
            },
            fix=_fix(posture),
            reference="RFC 9989 §4.7",
        )


def _fix(posture: ReportPosture) -> Fix | None:
    step = posture.step
    if step is None or step.record is None or posture.record_name is None:
        return None
    name, before = posture.record_name, step.rollback
    rollback = before or "Remove the record again."
    why = "All email from your own sources passes DMARC, so only spoofed email is affected."
    return Fix(
        action="replace" if before else "publish",
        name=name,
        type="TXT",
        before=before,
        after=step.record,
        rollback=rollback,
        why=why,
    )


RULES: tuple[Rule[ReportPosture], ...] = (
    Rule(frozenset(("dmarc.ready_for_next_policy", "dmarc.policy_none_standing")), _ready),
)
