"""MTA-STS: whether senders that verify TLS can still deliver (RFC 8461)."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from app.checks.engine import cname_conflict
from app.checks.engine.expiry import expires_soon
from app.checks.engine.types import (
    Finding,
    Fix,
    Outcome,
    Severity,
    Subject,
    Usage,
    check,
)
from app.checks.transport.mta_sts_finding_types import (
    AGE_LONG,
    AGE_SHORT,
    CERT_EXPIRING,
    CNAME_CONFLICT,
    CONTENT_TYPE,
    ID_INVALID,
    ID_UNCHANGED,
    LINE_ENDINGS,
    MISMATCH,
    MISSING,
    MODE_NONE,
    MODE_TESTING,
    MX_CERT,
    MX_MISSING,
    POLICY_SYNTAX,
    POLICY_VERSION,
    REDIRECTED,
    SEVERAL,
    SYNTAX,
    TLS_FAILED,
    TOO_LARGE,
    UNREACHABLE,
    WITH_DANE,
)
from app.checks.transport.tlsa import MAX_HOSTS, look_up
from app.ports.dns import LookupFailed, Resolver
from app.ports.http import Page
from app.ports.network import NetworkSession
from app.protocols import repair
from app.protocols.transport import mta_sts as protocol
from app.protocols.transport.mta_sts import Mode, Policy

PATH = "/.well-known/mta-sts.txt"
SHORT_AGE = 7 * 86_400  # seconds; RFC 8461 §3.2 recommends weeks


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
        *(MX_CERT, CERT_EXPIRING, WITH_DANE, CNAME_CONFLICT),
    ),
    logic_version=3,
)
async def mta_sts(subject: Subject, dns: NetworkSession) -> Outcome:
    """Check the record, the policy that it announces, and that the policy covers every MX host.

    facts  record, record_valid, id; policy_valid, mode, max_age, mx, mx_uncovered, policy_sha256,
           certificate_not_after, dane_hosts (MX hosts with TLSA records that senders use, as last
           seen); known_mode (if the policy is broken now, the mode of its last valid version)
    """
    name, host = f"_mta-sts.{subject.domain}", f"mta-sts.{subject.domain}"
    outcome = await _outcome(subject, name, dns)
    conflicts = await cname_conflict.findings(CNAME_CONFLICT, name, dns)
    if outcome.facts["record"]:
        conflicts += await cname_conflict.findings(CNAME_CONFLICT, host, dns, "A", "AAAA")
    return outcome.with_findings(conflicts)


async def _outcome(subject: Subject, name: str, dns: NetworkSession) -> Outcome:
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
        fix = _repaired(name, records[0], "Senders ignore the record in its current form.")
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
    pairs = dict(repair.tag_pairs(text, ("v", "id"), protocol.VERSION) or ())
    id = re.sub(r"[^A-Za-z0-9]", "", pairs.pop("id", ""))[:32]
    version = pairs.pop("v", "")
    if not re.fullmatch(r"sts(v?[0-9]+)?", version, re.ASCII | re.IGNORECASE) or not id:
        return None
    after = repair.joined([("v", protocol.VERSION), ("id", id), *pairs.items()]) + ";"
    if after == text:
        return None
    return Fix.replace_txt(name, [text], after=after, why=why)


def _merged(name: str, records: Sequence[str]) -> Fix:
    """One of the records, always the same: a different id only makes senders fetch the policy."""
    why = "Senders ignore all records if there is more than one. Publish one of them only."
    return Fix.replace_txt(name, sorted(records), after=max(records), why=why)


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
