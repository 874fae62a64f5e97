"""Alerts on expiring certificates: of the MTA-STS policy host, of MX hosts and of the BIMI logo."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from app.checks.engine.types import Severity
from app.protocols.json_values import JsonObject
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown

EXPIRING = "cert.expiring"
# Findings that report the same problem; they open no separate alerts.
COVERED_FINDINGS = frozenset(
    ("mta_sts.policy_cert_expiring", "starttls.cert_expiring", "bimi.vmc_expiring")
)
# Remaining days and the severity; the first step that applies is used.
STEPS = ((1, Severity.CRITICAL), (7, Severity.HIGH), (30, Severity.MEDIUM))
_LOGO = "logo "  # prefix of the subject of a logo's certificate; the URL follows


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
            posture,
            host,
            host,
            not_after,
            "Without a valid certificate senders cannot read the MTA-STS policy.",
        )
    elif facts is None or facts.get("record_valid"):
        yield Unknown(
            EXPIRING, lambda subject: subject == host
        )  # the certificate was not seen in this scan


def _of_mail_hosts(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    """Alerts for the MX hosts whose certificate was seen; the others keep their alerts."""
    facts = _facts(posture, "starttls")
    hosts = (facts or {}).get("hosts", {})
    for name, host in hosts.items():
        if host["not_after"]:
            yield from _about(
                posture,
                f"mx {name}",
                name,
                host["not_after"],
                "Senders that require a valid certificate stop delivering email.",
            )
    is_complete = facts is not None and facts.get("tested")
    unseen = {f"mx {name}" for name, host in hosts.items() if not host["not_after"]}
    yield Unknown(
        EXPIRING,
        lambda subject: subject in unseen or (not is_complete and subject.startswith("mx ")),
    )


def _of_logo(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    facts = _facts(posture, "bimi")
    uri, not_after = (facts or {}).get("authority"), (facts or {}).get("authority_not_after")
    if uri and not_after:
        yield from _about(
            posture,
            f"{_LOGO}{uri}",
            f"the logo ({uri})",
            not_after,
            "Without a valid certificate most receivers do not show the logo.",
        )
    elif facts is None or uri:
        yield Unknown(EXPIRING, lambda subject: subject.startswith(_LOGO))


def _facts(posture: Posture, check: str) -> Mapping[str, Any] | None:
    result = posture.definite(check)
    return result.facts if result else None


def _about(
    posture: Posture, subject: str, owner: str, not_after: str, consequence: str
) -> Iterator[AlertDraft]:
    remaining_days = (datetime.fromisoformat(not_after) - posture.now).total_seconds() / 86_400
    step = next((step for step in STEPS if remaining_days <= step[0]), None)
    if step is None:
        return
    if remaining_days <= 0:
        state = "has expired"
    else:
        state = (
            f"expires in {quantity(remaining_days, 'day')}"
            if remaining_days > 1
            else "expires within a day"
        )
    yield AlertDraft(
        type=EXPIRING,
        subject=subject,
        severity=step[1],
        title="Certificate has expired" if remaining_days <= 0 else "Certificate expires soon",
        message=f"{posture.domain}: the certificate of {owner} {state}. {consequence} "
        "Renew it, and check why it was not renewed automatically.",
        evidence={
            "of": owner,
            "notAfter": not_after,
            "observed": round(remaining_days, 1),
            "threshold": step[0],
        },
    )


def _resolution_evidence(posture: Posture) -> JsonObject:
    hosts = (_facts(posture, "starttls") or {}).get("hosts", {})
    ends = {f"mx {name}": host["not_after"] for name, host in hosts.items()}
    ends["mta-sts"] = (_facts(posture, "mta_sts") or {}).get("certificate_not_after")
    ends["logo"] = (_facts(posture, "bimi") or {}).get("authority_not_after")
    return {"notAfter": {of: end for of, end in ends.items() if end}}


RULES = (Rule(frozenset((EXPIRING,)), _judge, _resolution_evidence),)
