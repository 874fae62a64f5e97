"""The MTA-STS policy and its host: a certificate that ends, a policy that changed or broke."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.checks.contract import Judgement, Severity
from app.protocols import timestamps
from app.rules.contract import Draft, Posture, Rule

EXPIRING, CHANGED, BROKEN = "cert.expiring", "mta_sts.policy_changed", "mta_sts.policy_broken"
# Days that are left, and how much that matters; the first that applies counts.
STEPS = ((1, Severity.CRITICAL), (7, Severity.HIGH), (30, Severity.MEDIUM))
MAX_POLICY = 2_000  # characters of a policy that are kept as evidence


def _definite(posture: Posture) -> Judgement | None:
    judgement = posture.judgements.get("mta_sts")
    return judgement if judgement is not None and judgement.definite else None


def _certificate(posture: Posture) -> list[Draft] | None:
    judgement = _definite(posture)
    if judgement is None:
        return None
    if not judgement.facts.get("record_valid"):
        return []
    text = judgement.facts.get("certificate_not_after")
    if text is None:
        return None  # the host was not reached, or its certificate does not count: that is told
    left = (datetime.fromisoformat(text) - posture.now).total_seconds() / 86_400
    step = next((step for step in STEPS if left <= step[0]), None)
    if step is None:
        return []
    host = f"mta-sts.{posture.domain}"
    when = f"in {left:.0f} days" if left > 1 else "within a day"
    evidence = {"host": host, "notAfter": text, "observed": round(left, 1), "threshold": step[0]}
    message = (
        f"{posture.domain}: the certificate of {host} ends {when}. Without a valid one senders "
        "cannot read the MTA-STS policy. Renew it, and look why that was not done by itself."
    )
    return [Draft(EXPIRING, host, step[1], "A certificate is about to end", message, evidence)]


def _proof(posture: Posture) -> dict[str, Any]:
    facts = posture.judgements["mta_sts"].facts
    names = ("policy_valid", "mode", "certificate_not_after")
    return {name: facts[name] for name in names if name in facts}


def _changed(posture: Posture) -> Iterator[Draft]:
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
        yield Draft(
            CHANGED, change.name, Severity.INFO, "The MTA-STS policy changed",
            f"{posture.domain}: the policy at {change.name} changed. Senders read it again when "
            "the id of the record is another.",
            evidence, reference="RFC 8461 §3.2",
        )  # fmt: skip


def _broken(posture: Posture) -> list[Draft] | None:
    judgement = _definite(posture)
    if judgement is None:
        return None
    facts, before = judgement.facts, posture.known.get("mta_sts", {}).get("facts", {})
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
        Draft(
            BROKEN, posture.domain, Severity.CRITICAL if is_enforced else Severity.HIGH,
            "The MTA-STS policy cannot be used any more",
            f"{posture.domain}: there was a policy with mode {mode}, and now there is none that "
            f"can be used. {consequence}",
            {"before": mode, "after": None, "seen": [f.kind.code for f in judgement.findings]},
            reference="RFC 8461 §3.3",
        )
    ]  # fmt: skip


RULES = (
    Rule(frozenset((EXPIRING,)), _certificate, _proof),
    Rule(frozenset((CHANGED,)), _changed),
    Rule(frozenset((BROKEN,)), _broken, _proof),
)
