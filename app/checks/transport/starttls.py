"""Whether the MX hosts accept mail over TLS, with certificates that senders can trust."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.checks.engine.expiry import expires_soon
from app.checks.engine.types import (
    Finding,
    FindingType,
    Outcome,
    Severity,
    Subject,
    Verdict,
    check,
    finish,
    not_queried,
)
from app.ports.dns import LookupFailed, Resolver
from app.ports.smtp import TlsProbe

MISSING = FindingType(
    "starttls.missing",
    Severity.HIGH,
    "STARTTLS: mail server does not offer TLS, so mail is sent to it unencrypted",
    "RFC 3207 §2",
    flaps=True,
)
OLD_VERSION = FindingType(
    "starttls.version_deprecated",
    Severity.HIGH,
    "STARTTLS: mail server does not support TLS 1.2 or later",
    "RFC 8996 §1",
    flaps=True,
)
NO_TLS13 = FindingType(
    "starttls.no_tls13",
    Severity.LOW,
    "STARTTLS: mail server does not support TLS 1.3",
    "RFC 9325 §3.1.1",
)
EXPIRED = FindingType(
    "starttls.cert_expired",
    Severity.HIGH,
    "STARTTLS: mail server certificate has expired",
    "RFC 5280 §4.1.2.5",
)
EXPIRING = FindingType(
    "starttls.cert_expiring",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate expires soon",
    "RFC 5280 §4.1.2.5",
)
MISMATCH = FindingType(
    "starttls.cert_host_mismatch",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate is for a different host name",
    "RFC 9525 §6",
    flaps=True,
)
UNTRUSTED = FindingType(
    "starttls.cert_untrusted",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate is not issued by a public CA",
    "RFC 5280 §6",
    flaps=True,
)
WEAK_KEY = FindingType(
    "starttls.cert_weak_key",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate, or that of its CA, has a key that is too short",
    "RFC 9325 §4.5",
)
WEAK_SIGNATURE = FindingType(
    "starttls.cert_weak_signature",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate is signed with an insecure hash",
    "RFC 9325 §4.5",
)
KEY_USAGE = FindingType(
    "starttls.cert_key_usage",
    Severity.MEDIUM,
    "STARTTLS: mail server certificate is not valid for servers",
    "RFC 5280 §4.2.1.12",
)
STRIPPED = FindingType(
    "starttls.stripped_between_probes",
    Severity.HIGH,
    "STARTTLS: mail server no longer offers TLS (possible downgrade attack)",
    "RFC 3207 §6",
    flaps=True,
)
NOT_TESTED = FindingType(
    "starttls.not_tested",
    Severity.INFO,
    "STARTTLS: mail servers were not tested",
    "RFC 3207 §2",
    verdict=Verdict.INFO,
)

MAX_HOSTS = 10  # in order of preference: a domain may list hundreds

_FINDING_OF_PROBLEM = {
    "version": OLD_VERSION,
    "expired": EXPIRED,
    "host_mismatch": MISMATCH,
    "untrusted": UNTRUSTED,
    "weak_key": WEAK_KEY,
    "weak_signature": WEAK_SIGNATURE,
    "key_usage": KEY_USAGE,
}


@check(
    "starttls",
    finds=(
        *(MISSING, OLD_VERSION, NO_TLS13, EXPIRED, EXPIRING, MISMATCH, UNTRUSTED, NOT_TESTED),
        *(WEAK_KEY, WEAK_SIGNATURE, KEY_USAGE, STRIPPED),
    ),
    logic_version=2,
)
async def starttls(subject: Subject, dns: Resolver) -> Outcome:
    """Check the latest TLS probes of the MX hosts; the check itself does not connect to them.

    facts  tested; hosts, by name: tls (offered), version, trouble, not_after, and once_tls of a
           host that no longer offers TLS; hosts_unasked (how many beyond ten, if any)
    """
    records = await dns.mx(subject.domain)
    hosts = list(dict.fromkeys(record.host for record in records if record.host))
    if subject.tls_probes is None or not hosts:
        return Outcome({"tested": False, "hosts": {}}, NOT_TESTED.at(subject.domain, hosts=hosts))
    facts: dict[str, Any] = {}
    findings: list[Finding] = []
    failures = []
    for host in hosts[:MAX_HOSTS]:
        if (handshake := subject.tls_probes.get(host)) is None:
            failures.append(LookupFailed(host, "SMTP", "not tested recently"))
            continue
        once = not handshake.offers_tls and _once_tls(subject, host)
        facts[host] = _fact(handshake) | ({"once_tls": True} if once else {})
        findings += [STRIPPED.at(host)] if once else _about(handshake, subject.now)
    left_out = not_queried(hosts_unasked=len(hosts) - MAX_HOSTS)
    return finish({"tested": True, "hosts": facts, **left_out}, findings, failures)


def _once_tls(subject: Subject, host: str) -> bool:
    """Whether the host offered TLS in an earlier scan."""
    previous = subject.last_facts.get("starttls", {}).get("hosts", {}).get(host, {})
    return bool(previous.get("tls") or previous.get("once_tls"))


def _fact(handshake: TlsProbe) -> dict[str, Any]:
    return {
        "tls": handshake.offers_tls,
        "version": handshake.version,
        "trouble": handshake.problem,
        "not_after": handshake.not_after,
    }


def _about(handshake: TlsProbe, now: datetime | None) -> Iterator[Finding]:
    if not handshake.offers_tls:
        yield MISSING.at(handshake.host)
        return
    if handshake.problem:
        yield _FINDING_OF_PROBLEM[handshake.problem].at(handshake.host, reason=handshake.detail)
        return
    if handshake.version != "TLSv1.3":
        yield NO_TLS13.at(handshake.host, version=handshake.version)
    if severity := expires_soon(handshake.not_after, now):
        yield EXPIRING.at(handshake.host, severity=severity, not_after=handshake.not_after)
