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
    code="starttls.missing",
    severity=Severity.HIGH,
    summary="STARTTLS: mail server does not offer TLS, so mail is sent to it unencrypted",
    observed="{subject} does not list STARTTLS among its SMTP extensions.",
    why="Everyone on the network path can read and change the mail, and senders that require TLS "
    "do not deliver.",
    remediation="Enable TLS on the mail server, with a certificate for the name of the host.",
    note="The MX host does not offer STARTTLS.",
    reference="RFC 3207 §2",
    flaps=True,
)
OLD_VERSION = FindingType(
    code="starttls.version_deprecated",
    severity=Severity.HIGH,
    summary="STARTTLS: mail server does not support TLS 1.2 or later",
    observed="The TLS handshake with {subject} failed, because the server accepts older versions "
    "of TLS only.",
    why="Senders that require a secure version of TLS do not deliver, and others may send "
    "without encryption.",
    remediation="Enable TLS 1.2 and 1.3 on the mail server.",
    note="The handshake fails because there is no common version.",
    reference="RFC 8996 §1",
    flaps=True,
)
NO_TLS13 = FindingType(
    code="starttls.no_tls13",
    severity=Severity.LOW,
    summary="STARTTLS: mail server does not support TLS 1.3",
    observed="The TLS handshake with {subject} used {version:text}, the newest version that the "
    "server accepts.",
    why="Connections use TLS 1.2, which protects less of the handshake and permits weaker "
    "settings.",
    remediation="Enable TLS 1.3 on the mail server.",
    reference="RFC 9325 §3.1.1",
)
EXPIRED = FindingType(
    code="starttls.cert_expired",
    severity=Severity.HIGH,
    summary="STARTTLS: mail server certificate has expired",
    observed="The certificate that {subject} presents is no longer valid.",
    why="Senders that verify certificates (MTA-STS) do not deliver mail to this host.",
    remediation="Renew the certificate.",
    reference="RFC 5280 §4.1.2.5",
)
EXPIRING = FindingType(
    code="starttls.cert_expiring",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate expires soon",
    observed="The certificate that {subject} presents is valid until {not_after:day}.",
    why="When it expires, senders that verify certificates (MTA-STS) do not deliver mail to this "
    "host.",
    remediation="Renew the certificate.",
    note="30 days or less are left; high in 7, critical in one.",
    reference="RFC 5280 §4.1.2.5",
)
MISMATCH = FindingType(
    code="starttls.cert_host_mismatch",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate is for a different host name",
    observed="The certificate that {subject} presents does not contain this name.",
    why="Senders that verify certificates (MTA-STS) do not deliver mail to this host.",
    remediation="Have the certificate issued for the name in the MX record too.",
    reference="RFC 9525 §6",
    flaps=True,
)
UNTRUSTED = FindingType(
    code="starttls.cert_untrusted",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate is not issued by a public CA",
    observed="The certificate that {subject} presents does not lead to a root certificate that is "
    "publicly trusted.",
    why="Senders that verify certificates (MTA-STS) do not deliver mail to this host.",
    remediation="Use a certificate from a public CA, and install its intermediate certificates.",
    note="It is self-signed, or the chain is incomplete. Senders that use DANE accept it.",
    reference="RFC 5280 §6",
    flaps=True,
)
WEAK_KEY = FindingType(
    code="starttls.cert_weak_key",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate, or that of its CA, has a key that is too short",
    observed="A certificate that {subject} presents has a key with too few bits.",
    why="An attacker may be able to break the key, and TLS libraries refuse the connection.",
    remediation="Have the certificate issued with an RSA key of 2048 bits or more, or an ECDSA "
    "key.",
    note="RSA below 2048 bits, or equally weak.",
    reference="RFC 9325 §4.5",
)
WEAK_SIGNATURE = FindingType(
    code="starttls.cert_weak_signature",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate is signed with an insecure hash",
    observed="A certificate that {subject} presents has a signature with MD5 or SHA-1.",
    why="An attacker may be able to forge the certificate, and TLS libraries refuse the "
    "connection.",
    remediation="Have the certificate issued again, with SHA-256 or better.",
    note="The chain contains a signature with SHA-1 or MD5.",
    reference="RFC 9325 §4.5",
)
KEY_USAGE = FindingType(
    code="starttls.cert_key_usage",
    severity=Severity.MEDIUM,
    summary="STARTTLS: mail server certificate is not valid for servers",
    observed="The certificate that {subject} presents does not allow its use by a TLS server.",
    why="Senders that verify certificates (MTA-STS) do not deliver mail to this host.",
    remediation="Have a certificate issued for a TLS server.",
    note="Its extensions allow other uses only.",
    reference="RFC 5280 §4.2.1.12",
)
STRIPPED = FindingType(
    code="starttls.stripped_between_probes",
    severity=Severity.HIGH,
    summary="STARTTLS: mail server no longer offers TLS (possible downgrade attack)",
    observed="{subject} offered STARTTLS in an earlier test and did not in the last one.",
    why="Mail is sent to the host unencrypted, and someone on the network path may have removed "
    "the offer of TLS.",
    remediation="Check from inside your network whether the host still offers STARTTLS; if it "
    "does, check the network path between the host and the internet.",
    note="The MX host offered TLS before. Reported instead of `starttls.missing` until the host "
    "offers TLS again.",
    reference="RFC 3207 §6",
    flaps=True,
)
NOT_TESTED = FindingType(
    code="starttls.not_tested",
    severity=Severity.INFO,
    summary="STARTTLS: mail servers were not tested",
    observed="There is no TLS test of the mail servers of {subject}{hosts:aside} yet.",
    why="A scan cannot tell whether mail to the domain is encrypted.",
    remediation="Set `STARTTLS_PROBES=on` where outgoing connections to port 25 are possible.",
    note="Probes are disabled, or there is no MX host.",
    reference="RFC 3207 §2",
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
    logic_version=3,
)
async def starttls(subject: Subject, dns: Resolver) -> Outcome:
    """Check the latest TLS probes of the MX hosts; the check itself does not connect to them.

    facts  tested; hosts, by name: tls (offered), version, problem, not_after, and once_tls of a
           host that no longer offers TLS; hosts_not_queried (how many beyond ten, if any)
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
    left_out = not_queried(hosts_not_queried=len(hosts) - MAX_HOSTS)
    return finish({"tested": True, "hosts": facts, **left_out}, findings, failures)


def _once_tls(subject: Subject, host: str) -> bool:
    """Whether the host offered TLS in an earlier scan."""
    previous = subject.last_facts.get("starttls", {}).get("hosts", {}).get(host, {})
    return bool(previous.get("tls") or previous.get("once_tls"))


def _fact(handshake: TlsProbe) -> dict[str, Any]:
    return {
        "tls": handshake.offers_tls,
        "version": handshake.version,
        "problem": handshake.problem,
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
