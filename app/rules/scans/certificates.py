"""Certificates that end: of the policy's host, of MX hosts, and of the logo."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown

EXPIRING = "cert.expiring"
# Findings that say the same; they open no alerts of their own.
COVERED_FINDINGS = frozenset(
    ("mta_sts.policy_cert_expiring", "starttls.cert_expiring", "bimi.vmc_expiring")
)
# Days that are left, and how much that matters; the first that applies counts.
STEPS = ((1, Severity.CRITICAL), (7, Severity.HIGH), (30, Severity.MEDIUM))
_LOGO = "logo "  # what the subject of a logo's certificate begins with: its URL comes after it


def _judge(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    yield from _of_policy(posture)
    yield from _of_mail_hosts(posture)
    yield from _of_logo(posture)


def _of_policy(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    host = f"mta-sts.{posture.domain}"
    facts = _facts(posture, "mta_sts")
    not_after = facts.get("certificate_not_after") if facts else None
    if not_after:
        yield from _about(
            posture, host, host, not_after, "Without a valid one senders cannot read the policy."
        )
    elif facts is None or facts.get("record_valid"):
        yield Unknown(EXPIRING, lambda subject: subject == host)  # it was not seen


def _of_mail_hosts(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    """Each host that was connected to; of one with other trouble, or not seen lately, nothing."""
    facts = _facts(posture, "starttls")
    hosts = (facts or {}).get("hosts", {})
    for name, host in hosts.items():
        if host["not_after"]:
            yield from _about(
                posture, f"mx {name}", name, host["not_after"],
                "Senders that want a valid one stop delivering.",
            )  # fmt: skip
    is_whole = facts is not None and facts.get("tested")
    unseen = {f"mx {name}" for name, host in hosts.items() if not host["not_after"]}
    yield Unknown(
        EXPIRING,
        lambda subject: subject in unseen or (not is_whole and subject.startswith("mx ")),
    )


def _of_logo(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    facts = _facts(posture, "bimi")
    uri, not_after = (facts or {}).get("authority"), (facts or {}).get("authority_not_after")
    if uri and not_after:
        yield from _about(
            posture, f"{_LOGO}{uri}", f"the logo ({uri})", not_after,
            "Without a valid one most receivers show no logo.",
        )  # fmt: skip
    elif facts is None or uri:
        yield Unknown(EXPIRING, lambda subject: subject.startswith(_LOGO))


def _facts(posture: Posture, check: str) -> Mapping[str, Any] | None:
    judgement = posture.definite(check)
    return judgement.facts if judgement else None


def _about(
    posture: Posture, subject: str, what: str, not_after: str, consequence: str
) -> Iterator[AlertDraft]:
    left = (datetime.fromisoformat(not_after) - posture.now).total_seconds() / 86_400
    step = next((step for step in STEPS if left <= step[0]), None)
    if step is None:
        return
    when = f"ends in {left:.0f} days" if left > 1 else "ends within a day"
    yield AlertDraft(
        EXPIRING, subject, step[1], "A certificate is about to end",
        f"{posture.domain}: the certificate of {what} {when if left > 0 else 'has ended'}. "
        f"{consequence} Renew it, and look why that was not done by itself.",
        {"of": what, "notAfter": not_after, "observed": round(left, 1), "threshold": step[0]},
    )  # fmt: skip


def _resolution_evidence(posture: Posture) -> dict[str, Any]:
    hosts = (_facts(posture, "starttls") or {}).get("hosts", {})
    ends = {f"mx {name}": host["not_after"] for name, host in hosts.items()}
    ends["mta-sts"] = (_facts(posture, "mta_sts") or {}).get("certificate_not_after")
    ends["logo"] = (_facts(posture, "bimi") or {}).get("authority_not_after")
    return {"notAfter": {of: end for of, end in ends.items() if end}}


RULES = (Rule(frozenset((EXPIRING,)), _judge, _resolution_evidence),)
