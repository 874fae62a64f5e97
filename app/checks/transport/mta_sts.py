"""MTA-STS: whether senders that verify TLS can still deliver (RFC 8461)."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from app.checks.engine.expiry import expires_soon
from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Usage,
    Verdict,
    check,
)
from app.checks.transport.tlsa import MAX_HOSTS, look_up
from app.ports.dns import LookupFailed, Resolver
from app.ports.http import Page
from app.ports.network import NetworkSession
from app.protocols import mta_sts as protocol
from app.protocols import repair
from app.protocols.mta_sts import Mode, Policy

PATH = "/.well-known/mta-sts.txt"
SHORT_AGE = 7 * 86_400  # seconds; RFC 8461 §3.2 recommends weeks

MISSING = FindingType(
    "mta_sts.missing",
    Severity.LOW,
    "MTA-STS is not set up, so senders do not require verified TLS",
    "RFC 8461 §3.1",
    Verdict.INFO,
)
SEVERAL = FindingType(
    "mta_sts.multiple_records",
    Severity.HIGH,
    "MTA-STS: more than one record, so senders ignore all of them",
    "RFC 8461 §3.1",
    hides_others=True,
)
SYNTAX = FindingType(
    "mta_sts.record_syntax",
    Severity.HIGH,
    "MTA-STS record is invalid, so senders ignore it",
    "RFC 8461 §3.1",
    hides_others=True,
)
ID_INVALID = FindingType(
    "mta_sts.id_invalid",
    Severity.HIGH,
    "MTA-STS: invalid policy id, so senders ignore the record",
    "RFC 8461 §3.1",
    hides_others=True,
)
UNREACHABLE = FindingType(
    "mta_sts.policy_unreachable",
    Severity.HIGH,
    "MTA-STS: policy cannot be fetched, so senders cannot apply it",
    "RFC 8461 §3.3",
    flaps=True,
)
REDIRECTED = FindingType(
    "mta_sts.policy_redirected",
    Severity.HIGH,
    "MTA-STS: policy host redirects, which senders do not follow",
    "RFC 8461 §3.3",
    flaps=True,
)
TLS_FAILED = FindingType(
    "mta_sts.policy_tls_failed",
    Severity.HIGH,
    "MTA-STS: untrusted certificate on the policy host, so senders ignore the policy",
    "RFC 8461 §3.3",
    flaps=True,
)
CONTENT_TYPE = FindingType(
    "mta_sts.policy_content_type",
    Severity.LOW,
    "MTA-STS policy is not served as text/plain, so some senders refuse it",
    "RFC 8461 §3.2",
)
TOO_LARGE = FindingType(
    "mta_sts.policy_too_large", Severity.HIGH, "MTA-STS policy exceeds 64 KiB", "RFC 8461 §3.3"
)
LINE_ENDINGS = FindingType(
    "mta_sts.policy_line_endings",
    Severity.HIGH,
    "MTA-STS policy uses wrong line endings",
    "RFC 8461 §3.2",
)
POLICY_SYNTAX = FindingType(
    "mta_sts.policy_syntax", Severity.HIGH, "MTA-STS policy is invalid", "RFC 8461 §3.2"
)
POLICY_VERSION = FindingType(
    "mta_sts.policy_version",
    Severity.HIGH,
    "MTA-STS policy does not declare version STSv1, so senders ignore it",
    "RFC 8461 §3.2",
)
MX_MISSING = FindingType(
    "mta_sts.mx_missing_in_policy",
    Severity.HIGH,
    "MTA-STS policy lists no mail servers, so it is invalid",
    "RFC 8461 §3.2",
)
MISMATCH = FindingType(
    "mta_sts.policy_mismatch",
    Severity.MEDIUM,
    "MTA-STS: mail server missing from the policy, so mail to it is refused",
    "RFC 8461 §4.1",
)
MODE_NONE = FindingType(
    "mta_sts.mode_none", Severity.LOW, "MTA-STS policy is disabled (mode none)", "RFC 8461 §5"
)
MODE_TESTING = FindingType(
    "mta_sts.mode_testing",
    Severity.LOW,
    "MTA-STS is in testing mode: failures are reported, but mail is still delivered",
    "RFC 8461 §5",
)
AGE_SHORT = FindingType(
    "mta_sts.max_age_short",
    Severity.LOW,
    "MTA-STS: max_age is under a week, so senders forget the policy in days",
    "RFC 8461 §3.2",
)
AGE_LONG = FindingType(
    "mta_sts.max_age_too_long",
    Severity.HIGH,
    "MTA-STS: max_age is over a year, so the policy is invalid",
    "RFC 8461 §3.2",
)
MX_CERT = FindingType(
    "mta_sts.mx_cert_invalid_under_enforce",
    Severity.CRITICAL,
    "MTA-STS: mail server's TLS cannot be trusted, so enforcing senders do not deliver",
    "RFC 8461 §4.2",
)
CERT_EXPIRING = FindingType(
    "mta_sts.policy_cert_expiring",
    Severity.MEDIUM,
    "MTA-STS: certificate of the policy host expires soon",
    "RFC 8461 §3.3",
)
WITH_DANE = FindingType(
    "mta_sts.conflicts_with_dane",
    Severity.INFO,
    "MTA-STS and DANE are both set up: senders that support both use DANE",
    "RFC 8461 §2",
)
ID_UNCHANGED = FindingType(
    "mta_sts.policy_changed_id_unchanged",
    Severity.HIGH,
    "MTA-STS: policy changed but its id did not, so senders keep the old policy",
    "RFC 8461 §3.1",
)

_OF_POLICY = {
    "too_large": TOO_LARGE,
    "encoding": POLICY_SYNTAX,
    "line_endings": LINE_ENDINGS,
    "syntax": POLICY_SYNTAX,
    "version": POLICY_VERSION,
    "mode": POLICY_SYNTAX,
    "max_age": POLICY_SYNTAX,
    "max_age_too_long": AGE_LONG,
    "mx_missing": MX_MISSING,
    "mx_invalid": POLICY_SYNTAX,
}
_OF_FAILURE = {"tls": TLS_FAILED, "redirect": REDIRECTED, "too_large": TOO_LARGE}


@check(
    "mta_sts",
    finds=(
        *(MISSING, SEVERAL, SYNTAX, ID_INVALID, UNREACHABLE, REDIRECTED, TLS_FAILED),
        *(CONTENT_TYPE, TOO_LARGE, LINE_ENDINGS, POLICY_SYNTAX, POLICY_VERSION, MX_MISSING),
        *(MISMATCH, MODE_NONE, MODE_TESTING, AGE_SHORT, AGE_LONG, ID_UNCHANGED),
        *(MX_CERT, CERT_EXPIRING, WITH_DANE),
    ),
    logic_version=2,
)
async def mta_sts(subject: Subject, dns: NetworkSession) -> Outcome:
    """Check the record, the policy that it announces, and that the policy covers every MX host.

    facts  record, record_valid, id; policy_valid, mode, max_age, mx, mx_uncovered, policy_sha256,
           certificate_not_after, dane_hosts (MX hosts with TLSA records that senders use, as last
           seen); known_mode (if the policy is broken now, the mode of its last valid version)
    """
    name = f"_mta-sts.{subject.domain}"
    texts = await dns.txt(name)
    records = [text for text in texts if protocol.is_record(text)]
    if not records:
        return _without_record(subject, name, texts)
    if len(records) > 1:
        facts: dict[str, Any] = {"record": True, "record_valid": False}
        return Outcome(facts, SEVERAL.at(name, records=sorted(records), fix=_merged(name, records)))
    try:
        record = protocol.parse_record(records[0])
    except protocol.MtaStsUnusable as error:
        kind = ID_INVALID if error.code == "id_invalid" else SYNTAX
        facts = {"record": True, "record_valid": False}
        fix = _repaired(name, records[0], "Senders ignore the record as it is.")
        return Outcome(facts, kind.at(name, record=records[0], reason=error.reason, fix=fix))
    page = await dns.fetch(f"mta-sts.{subject.domain}", PATH)
    return await _with_policy(subject, record.id, page, dns)


async def _with_policy(subject: Subject, id: str, page: Page, dns: Resolver) -> Outcome:
    facts: dict[str, Any] = {"record": True, "record_valid": True, "id": id}
    facts["certificate_not_after"] = page.not_after
    broken = facts | {"policy_valid": False, "known_mode": _known_mode(subject)}
    try:
        if page.failure or page.status != 200:
            return Outcome(broken, _not_fetched(subject, page))
        policy = protocol.parse_policy(page.body)
    except protocol.BadPolicy as error:
        kind = _OF_POLICY[error.code]
        finding = kind.at(page.url, severity=_severity(subject), reason=error.reason)
        return Outcome(broken, finding)
    mx_hosts = list(dict.fromkeys(mx.host for mx in await dns.mx(subject.domain)))
    hosts = mx_hosts or [subject.domain]
    uncovered = [host for host in hosts if host and not policy.covers(host)]
    digest = hashlib.sha256(page.body).hexdigest()
    facts |= {
        "policy_valid": True,
        "mode": policy.mode,
        "max_age": policy.max_age,
        "mx": list(policy.mx),
        "mx_uncovered": uncovered,
        "policy_sha256": digest,
    }
    findings = [*_of_policy(page, policy), *_of_hosts(policy, uncovered, page.url)]
    if severity := expires_soon(page.not_after, subject.now):
        findings.append(CERT_EXPIRING.at(page.url, severity=severity, not_after=page.not_after))
    if policy.mode is Mode.ENFORCE:
        findings += _of_handshakes(subject, [host for host in hosts if host not in uncovered])
    in_use = policy.mode is not Mode.NONE
    facts["dane_hosts"] = await _dane_hosts(subject, mx_hosts, dns) if in_use else []
    if facts["dane_hosts"]:
        findings.append(WITH_DANE.at(subject.domain, mode=policy.mode, hosts=facts["dane_hosts"]))
    previous = subject.last_facts.get("mta_sts", {})
    if previous.get("id") == id and previous.get("policy_sha256") not in (None, digest):
        findings.append(ID_UNCHANGED.at(f"_mta-sts.{subject.domain}", id=id))
    return Outcome(facts, *findings)


async def _dane_hosts(subject: Subject, hosts: Sequence[str], dns: Resolver) -> list[str]:
    """The hosts with TLSA records that senders use; a failed lookup keeps the previous result.

    The dane check makes the same queries, so they are sent only once.
    """
    queried = [host for host in hosts if host][:MAX_HOSTS]
    before = subject.last_facts.get("mta_sts", {}).get("dane_hosts", ())
    return [
        host
        for host, tlsa in zip(queried, await look_up(queried, dns), strict=True)
        if (host in before if isinstance(tlsa, LookupFailed) else tlsa.secure and tlsa.usable)
    ]


def _of_handshakes(subject: Subject, hosts: Sequence[str]) -> Iterator[Finding]:
    """Findings for hosts whose latest TLS probe fails what an enforced policy requires (§4.2)."""
    for host in hosts:
        handshake = (subject.tls_probes or {}).get(host)
        if handshake and (handshake.problem or not handshake.offers_tls):
            reason = handshake.problem or "no STARTTLS"
            yield MX_CERT.at(host, reason=reason, detail=handshake.detail)


def _severity(subject: Subject) -> Severity:
    """Critical if senders may remember an enforced policy: they stop delivering when it expires."""
    return Severity.CRITICAL if _known_mode(subject) == Mode.ENFORCE else Severity.HIGH


def _known_mode(subject: Subject) -> str | None:
    """The mode of the last valid policy; the facts of a broken policy carry it on."""
    previous = subject.last_facts.get("mta_sts", {})
    mode: str | None = previous.get("mode") or previous.get("known_mode")
    return mode


def _not_fetched(subject: Subject, page: Page) -> Finding:
    kind = _OF_FAILURE.get(page.failure or "", UNREACHABLE)
    reasons = {
        "no_address": "the host has no address",
        "refused_address": "the host's address is not public",
        "too_large": "the policy is larger than 64 KiB",
    }
    reason = page.detail or reasons.get(page.failure or "", f"HTTP status {page.status}")
    return kind.at(page.url, severity=_severity(subject), reason=reason, status=page.status)


def _without_record(subject: Subject, name: str, texts: Sequence[str]) -> Outcome:
    if attempts := [text for text in texts if protocol.is_attempt(text)]:
        facts = {"record": True, "record_valid": False}
        why = (
            "Senders ignore the record, because it must start with exactly v=STSv1 and a semicolon."
        )
        reason = "it does not start with v=STSv1;"
        text = min(attempts)
        fix = _repaired(name, text, why)
        return Outcome(facts, SYNTAX.at(name, record=text, reason=reason, fix=fix))
    if subject.usage in (Usage.PARKED, Usage.SENDS):
        return Outcome({"record": False})
    # The record is the last step: with it, senders look for the policy.
    return Outcome(
        {"record": False}, MISSING.at(name, policy=f"https://mta-sts.{subject.domain}{PATH}")
    )


def _repaired(name: str, text: str, why: str) -> Fix | None:
    """The fix that corrects every mistake in the record; None if the meaning is not evident."""
    pairs = dict(repair.tag_pairs(text, ("v", "id")) or ())
    id = re.sub(r"[^A-Za-z0-9]", "", pairs.pop("id", ""))[:32]
    if not pairs.pop("v", "").upper().startswith("STS") or not id:
        return None
    after = repair.joined([("v", protocol.VERSION), ("id", id), *pairs.items()]) + ";"
    if after == text:
        return None
    return Fix("replace", name, "TXT", text, after, f"Publish {text!r} again.", why)


def _merged(name: str, records: Sequence[str]) -> Fix:
    """One of the records, always the same: a different id only makes senders fetch the policy."""
    why = "Senders ignore all records if there is more than one. Publish one of them only."
    back = "Publish the previous records again."
    return Fix("replace", name, "TXT", "\n".join(sorted(records)), max(records), back, why)


def _of_policy(page: Page, policy: Policy) -> Iterator[Finding]:
    if page.content_type.partition(";")[0].strip().lower() != "text/plain":
        yield CONTENT_TYPE.at(page.url, content_type=page.content_type)
    if policy.mode is Mode.NONE:
        yield MODE_NONE.at(page.url)
        return
    if policy.mode is Mode.TESTING:
        yield MODE_TESTING.at(page.url)
    if policy.max_age < SHORT_AGE:
        yield AGE_SHORT.at(page.url, max_age=policy.max_age, advised=SHORT_AGE)


def _of_hosts(policy: Policy, uncovered: Sequence[str], url: str) -> Iterator[Finding]:
    if policy.mode is Mode.NONE:
        return
    is_enforced = policy.mode is Mode.ENFORCE
    for host in uncovered:
        yield MISMATCH.at(
            host,
            severity=Severity.CRITICAL if is_enforced else Severity.MEDIUM,
            policy=url,
            patterns=list(policy.mx),
            line=f"mx: {host}",
        )
