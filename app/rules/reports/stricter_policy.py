"""Alerts on a DMARC policy that can be made stricter, by the verdict of policy readiness."""

from collections.abc import Iterator

from app.analysis.policy.verdicts import MAX_LOST_SHARE, MIN_DAYS_AT_POLICY
from app.checks.engine.types import Fix, Severity
from app.protocols.json_values import JsonObject
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import ReportPosture

REFERENCE = "RFC 9989 §7.4"


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
        "verdict": step.verdict.value,
        "spoofed": step.spoofed,
        "legitimateFailing": step.legitimate_failing,
        "legitimateFailingShare": round(step.legitimate_failing_share, 4),
        "daysAtPolicy": posture.days_at_policy,
    }
    threshold = {"legitimateFailingShare": MAX_LOST_SHARE, "daysAtPolicy": MIN_DAYS_AT_POLICY}
    drafts = [
        AlertDraft(
            type="dmarc.ready_for_next_policy",
            subject=posture.domain,
            severity=Severity.INFO,
            title=f"Ready for a stricter DMARC policy ({step.tag}={step.proposed})",
            message=f"{posture.domain}: {step.tag}={step.proposed} is advised. {step.reason} "
            "Publish the new record.",
            evidence={"observed": observed, "threshold": threshold},
            fix=_fix(posture),
            reference=REFERENCE,
        )
    ]
    return [*drafts, *_still_none(posture, observed)]


def _still_none(posture: ReportPosture, observed: JsonObject) -> Iterator[AlertDraft]:
    days = posture.days_at_policy
    if posture.policy == "none" and days is not None:
        yield AlertDraft(
            type="dmarc.policy_none_standing",
            subject=posture.domain,
            severity=posture.capped(Severity.LOW),
            title="DMARC policy still p=none although ready to enforce",
            message=f"{posture.domain}: the DMARC policy has been p=none for "
            f"{quantity(days, 'day')}, so "
            "receivers deliver spoofed email. Publish the stricter record.",
            evidence={
                "observed": {"days": days, **observed},
                "threshold": {"days": MIN_DAYS_AT_POLICY},
            },
            fix=_fix(posture),
            reference=REFERENCE,
        )


def _fix(posture: ReportPosture) -> Fix | None:
    step = posture.step
    if step is None or step.record is None or posture.record_name is None:
        return None
    name, before = posture.record_name, step.rollback
    rollback = before or "Remove the record again."
    why = " ".join((step.reason, *step.remarks))
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
