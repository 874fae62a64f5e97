"""The MTA-STS policy: that it changed, or broke."""

from collections.abc import Iterator
from typing import Any

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.rules.engine.types import AlertDraft, Posture, Rule

CHANGED, BROKEN = "mta_sts.policy_changed", "mta_sts.policy_broken"
MAX_POLICY = 2_000  # characters of a policy that are kept as evidence


def _resolution_evidence(posture: Posture) -> dict[str, Any]:
    facts = posture.check_results["mta_sts"].facts
    names = ("policy_valid", "mode")
    return {name: facts[name] for name in names if name in facts}


def _changed(posture: Posture) -> Iterator[AlertDraft]:
    latest = {
        change.name: change
        for change in posture.changes
        if change.check == "mta_sts" and change.type == "HTTPS"
    }
    for change in latest.values():
        if not change.before or not change.after:
            continue  # it came or went: its findings tell of that
        evidence = {
            "before": change.before[0][:MAX_POLICY],
            "after": change.after[0][:MAX_POLICY],
            "changedAt": timestamps.text(change.at),
        }
        yield AlertDraft(
            CHANGED, change.name, Severity.INFO, "The MTA-STS policy changed",
            f"{posture.domain}: the policy at {change.name} changed. Senders read it again when "
            "the id of the record is another.",
            evidence, reference="RFC 8461 §3.2",
        )  # fmt: skip


def _broken(posture: Posture) -> list[AlertDraft] | None:
    judgement = posture.definite("mta_sts")
    if judgement is None:
        return None
    facts, before = judgement.facts, posture.last_results.get("mta_sts", {}).get("facts", {})
    mode = facts.get("known_mode")
    is_broken = facts.get("policy_valid") is False and before.get("policy_valid") is False
    if not is_broken or mode not in ("enforce", "testing"):
        return []
    is_enforced = mode == "enforce"
    consequence = (
        "Senders that know the old policy refuse to deliver once it is over, or MX hosts change."
        if is_enforced
        else "Senders no longer report what fails."
    )
    return [
        AlertDraft(
            BROKEN, posture.domain, Severity.CRITICAL if is_enforced else Severity.HIGH,
            "The MTA-STS policy cannot be used any more",
            f"{posture.domain}: there was a policy with mode {mode}, and now there is none that "
            f"can be used. {consequence}",
            {"before": mode, "after": None, "seen": [f.kind.code for f in judgement.findings]},
            reference="RFC 8461 §3.3",
        )
    ]  # fmt: skip


RULES = (
    Rule(frozenset((CHANGED,)), _changed),
    Rule(frozenset((BROKEN,)), _broken, _resolution_evidence),
)
