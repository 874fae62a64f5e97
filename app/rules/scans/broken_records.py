"""Alerts on DNS records that still exist but have become invalid."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.checks.engine.types import Severity
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown

BROKEN = "dns.record_broken"

Facts = Mapping[str, Any]
_State = bool | None  # whether receivers can use the record; None: no record exists


@dataclass(frozen=True, slots=True)
class _Kind:
    """The records that one check reads.

    name      the labels before the domain name; subjects end with both
    states    from the facts of a check result: the state by the labels before ``name``
    severity  of the alert when a record breaks
    """

    check: str
    name: str
    states: Callable[[Facts], Mapping[str, _State]]
    severity: Severity
    reference: str


def _spf(facts: Facts) -> Mapping[str, _State]:
    return {"": {"valid": True, "permerror": False}.get(facts.get("result", ""))}


def _dmarc(facts: Facts) -> Mapping[str, _State]:
    if facts.get("record_count_at_domain", 0) > 1:
        return {"": False}
    is_used = bool(facts.get("record_count_at_domain"))
    return {"": facts.get("effective_policy") is not None if is_used else None}


def _dkim(facts: Facts) -> Mapping[str, _State]:
    return {
        f"{name}.": "key_type" in key if key.get("found") else None
        for name, key in facts.get("selectors", {}).items()
    }


def _other(facts: Facts) -> Mapping[str, _State]:
    return {"": facts.get("record_valid")}


_KINDS = (
    _Kind(
        check="spf", name="", states=_spf, severity=Severity.CRITICAL, reference="RFC 7208 §2.6.7"
    ),
    _Kind(
        check="dmarc",
        name="_dmarc.",
        states=_dmarc,
        severity=Severity.CRITICAL,
        reference="RFC 9989 §4.7",
    ),
    _Kind(
        check="dkim",
        name="_domainkey.",
        states=_dkim,
        severity=Severity.CRITICAL,
        reference="RFC 6376 §3.6.1",
    ),
    _Kind(
        check="mta_sts",
        name="_mta-sts.",
        states=_other,
        severity=Severity.HIGH,
        reference="RFC 8461 §3.1",
    ),
    _Kind(
        check="tls_rpt",
        name="_smtp._tls.",
        states=_other,
        severity=Severity.HIGH,
        reference="RFC 8460 §3",
    ),
    _Kind(
        check="bimi",
        name="default._bimi.",
        states=_other,
        severity=Severity.HIGH,
        reference="draft-brand-indicators §4.2",
    ),
)


def _drafts(posture: Posture) -> Iterator[AlertDraft | Unknown]:
    for kind in _KINDS:
        yield from _of_kind(posture, kind)


def _of_kind(posture: Posture, kind: _Kind) -> Iterator[AlertDraft | Unknown]:
    """An alert for each record that broke in this scan.

    Records that were broken before keep their alert, or have none, until they are valid again.
    """
    check_result, suffix = posture.definite(kind.check), f"{kind.name}{posture.domain}"
    if check_result is None:
        is_dkim = kind.check == "dkim"
        yield Unknown(BROKEN, lambda at: at.endswith(f".{suffix}") if is_dkim else at == suffix)
        return
    before = kind.states(posture.last_results.get(kind.check, {}).get("facts", {}))
    for start, is_usable in kind.states(check_result.facts).items():
        if is_usable is False:
            at = f"{start}{suffix}"
            yield _draft(posture, kind, at) if before.get(start) else _unknown(at)


def _unknown(at: str) -> Unknown:
    return Unknown(BROKEN, lambda subject: subject == at)


def _draft(posture: Posture, kind: _Kind, at: str) -> AlertDraft:
    findings = posture.check_results[kind.check].findings
    protocol = kind.check.upper().replace("_", "-")
    return AlertDraft(
        type=BROKEN,
        subject=at,
        severity=kind.severity,
        title=f"{protocol} record is no longer valid",
        message=f"{posture.domain}: the {protocol} record at {at} was valid before; receivers can "
        "no longer use it. Restore the last valid record, or fix the problems that the findings "
        "name.",
        evidence={"check": kind.check, "seen": [finding.kind.code for finding in findings][:10]},
        reference=kind.reference,
    )


def _resolution_evidence(posture: Posture) -> JsonObject:
    usable = {
        f"{start}{kind.name}{posture.domain}": is_usable
        for kind in _KINDS
        if (check_result := posture.definite(kind.check))
        for start, is_usable in kind.states(check_result.facts).items()
    }
    return {"usable": usable}


RULES = (Rule(frozenset((BROKEN,)), _drafts, _resolution_evidence),)
