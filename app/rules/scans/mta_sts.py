"""Alerts on MTA-STS policies that changed or became invalid."""

from collections.abc import Iterator

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft, Posture, Rule

CHANGED, BROKEN = "mta_sts.policy_changed", "mta_sts.policy_broken"
MAX_POLICY = 2_000  # characters of a policy that are stored as evidence


def _resolution_evidence(posture: Posture) -> JsonObject:
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
            continue  # findings report a policy that appeared or disappeared
        evidence = {
            "before": change.before[0][:MAX_POLICY],
            "after": change.after[0][:MAX_POLICY],
            "changedAt": timestamps.text(change.at),
        }
        yield AlertDraft(
            type=CHANGED,
            subject=change.name,
            severity=Severity.INFO,
            title="MTA-STS policy changed",
            message=f"{posture.domain}: the MTA-STS policy at {change.name} changed. Senders fetch "
            "it again only when the id in the _mta-sts TXT record changes.",
            evidence=evidence,
            reference="RFC 8461 §3.2",
        )


def _broken(posture: Posture) -> list[AlertDraft] | None:
    result = posture.definite("mta_sts")
    if result is None:
        return None
    facts, before = result.facts, posture.last_results.get("mta_sts", {}).get("facts", {})
    mode = facts.get("known_mode")
    is_broken = facts.get("policy_valid") is False and before.get("policy_valid") is False
    if not is_broken or mode not in ("enforce", "testing"):
        return []
    is_enforced = mode == "enforce"
    consequence = (
        "Senders with a cached policy stop delivering when it expires or your MX hosts change."
        if is_enforced
        else "Senders no longer report TLS failures."
    )
    return [
        AlertDraft(
            type=BROKEN,
            subject=posture.domain,
            severity=Severity.CRITICAL if is_enforced else Severity.HIGH,
            title="MTA-STS policy is no longer valid",
            message=f"{posture.domain}: the MTA-STS policy (mode {mode}) can no longer be fetched "
            f"or is invalid. {consequence} Serve a valid policy again.",
            evidence={
                "before": mode,
                "after": None,
                "seen": [f.kind.code for f in result.findings],
            },
            reference="RFC 8461 §3.3",
        )
    ]


RULES = (
    Rule(frozenset((CHANGED,)), _changed),
    Rule(frozenset((BROKEN,)), _broken, _resolution_evidence),
)
