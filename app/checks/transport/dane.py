"""Whether senders can verify the certificates of the MX hosts with TLSA records (DANE).

The certificates come from the latest TLS probes; the check itself does not connect to the hosts.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Verdict,
    check,
    finish,
    not_queried,
)
from app.checks.transport.certificate_match import (
    DANE_EE,
    Chain,
    Match,
    Reference,
    first_match,
    probed_chain,
)
from app.checks.transport.tlsa import MAX_HOSTS, PKIX, Host, fault, look_up
from app.ports.dns import Answer, LookupFailed, Mx, Resolver, Tlsa
from app.ports.smtp import TlsProbe
from app.protocols import timestamps

MISSING = FindingType(
    code="dane.missing",
    severity=Severity.LOW,
    summary="DANE is not set up (no TLSA records)",
    observed="None of the mail servers {hosts} has TLSA records.",
    why="An attacker between two mail servers can make senders deliver without encryption, or to "
    "another server.",
    remediation="In a signed zone, publish a `3 1 1` record at `_25._tcp.<host>` for each MX host.",
    note="None of the MX hosts has TLSA records.",
    reference="RFC 7672 §2.2",
    verdict=Verdict.INFO,
)
NOT_APPLICABLE = FindingType(
    code="dane.not_applicable",
    severity=Severity.INFO,
    summary="DANE does not apply: there is no MX host",
    observed="{subject} has no MX record that names a mail server.",
    why="There is no mail server that TLSA records could protect.",
    remediation="No action is needed.",
    note="The domain has a null MX or no MX record.",
    reference="RFC 7672 §2.2",
    verdict=Verdict.INFO,
)
PARTIAL = FindingType(
    code="dane.partial",
    severity=Severity.LOW,
    summary="DANE: only some mail servers have TLSA records, so the others are not protected",
    observed="There is no TLSA record at {owner}. Other mail servers of the domain have one.",
    why="An attacker can force senders to use a host without TLSA records.",
    remediation="Publish TLSA records for every MX host.",
    reference="RFC 7672 §2.2",
)
INVALID = FindingType(
    code="dane.invalid",
    severity=Severity.CRITICAL,
    summary="DANE: TLSA records are invalid, so senders cannot use them",
    observed="TLSA records at {subject} cannot be used: {faults}.",
    why="Senders ignore the records, and do not deliver to a host that has no usable record and "
    "no TLS.",
    remediation="Remove the record, or generate it again from the certificate.",
    note="They have unassigned numbers, or data of the wrong length; medium where other records "
    "of the host are usable.",
    reference="RFC 6698 §2.1",
)
BOGUS = FindingType(
    code="dane.bogus",
    severity=Severity.CRITICAL,
    summary="DANE: TLSA answer fails DNSSEC validation, so senders defer mail",
    observed="The lookup of the TLSA records at {subject} failed: {reason:text}.",
    why="Senders that support DANE do not deliver mail to the host until the answer validates.",
    remediation="Sign the zone of the host again.",
    note="The TLSA answer arrives only with validation disabled.",
    reference="RFC 7672 §2.1.2",
)
NO_DNSSEC = FindingType(
    code="dane.no_dnssec",
    severity=Severity.MEDIUM,
    summary="DANE: TLSA records are not protected by DNSSEC, so senders ignore them",
    observed="The TLSA records at {subject} are {records}. The answer is not signed.",
    why="Senders ignore the records, so they protect nothing.",
    remediation="Sign the zone of the host.",
    note="The TLSA records or the address of the host are not validated.",
    reference="RFC 7672 §2.2",
)
MX_INSECURE = FindingType(
    code="dane.mx_insecure",
    severity=Severity.LOW,
    summary="DANE: MX records are not signed with DNSSEC, so mail can be redirected",
    observed="The answer with the MX records of {subject} is not signed.",
    why="The hosts are protected, but a forged MX record can send mail to another host.",
    remediation="Sign the zone of the domain itself.",
    reference="RFC 7672 §2.2.1",
)
NO_ROLLOVER = FindingType(
    code="dane.no_rollover",
    severity=Severity.LOW,
    summary="DANE: only one TLSA record, so a new certificate breaks delivery",
    observed="The TLSA record at {subject} is {record}, and it is the only one.",
    why="Senders that support DANE stop delivering as soon as a certificate with another key is "
    "installed.",
    remediation="Publish a second record for the next key or for the CA (`2 1 1`) in advance.",
    reference="RFC 7671 §8.1",
)
UNSUITABLE = FindingType(
    code="dane.usage_unsuitable",
    severity=Severity.MEDIUM,
    summary="DANE: TLSA records have usage 0 or 1, which senders do not use",
    observed="The TLSA records at {subject} have the certificate usage PKIX-TA (0) or PKIX-EE (1).",
    why="Usages 0 and 1 depend on public CAs, which SMTP senders do not consult, so the records "
    "protect nothing.",
    remediation="Publish the same data with usage 2 instead of 0, and 3 instead of 1.",
    reference="RFC 7672 §3.1.3",
)
MISMATCH = FindingType(
    code="dane.certificate_mismatch",
    severity=Severity.CRITICAL,
    summary="DANE: no TLSA record matches the mail server's certificate, so mail is not delivered",
    observed="The certificate that {host} presents matches none of the TLSA records at {subject}: "
    "{records}.",
    why="Senders that support DANE do not deliver mail to this host until a record matches.",
    remediation="Publish a TLSA record for the certificate in use, or install the certificate that "
    "the records describe. Publish the record of a new certificate before you install it.",
    note="Compared with the certificate that the latest TLS probe saw; not reported if a record of "
    "usage 2 cannot be compared with the whole chain of the host, or if the records changed after "
    "the probe.",
    reference="RFC 7672 §3.1",
    flaps=True,
)


@check(
    "dane",
    finds=(
        *(MISSING, NOT_APPLICABLE, PARTIAL, INVALID, BOGUS),
        *(NO_DNSSEC, MX_INSECURE, NO_ROLLOVER, UNSUITABLE, MISMATCH),
    ),
    logic_version=5,
)
async def dane(subject: Subject, dns: Resolver) -> Outcome:
    """Check that the MX hosts have TLSA records that senders can use, protected by DNSSEC.

    facts   tlsa_hosts (MX hosts with TLSA records, by preference), dnssec (their records and the
            MX set are validated), null_mx, hosts_not_queried (beyond ten, if any); if hosts are
            probed: tlsa_since (by host: when a scan first saw the current records), certificates
            (by host: whether a record matches, and which)
    source  RFC 7672 §2.2, §3.1; RFC 6698 §2.1
    """
    answer = await dns.resolve(subject.domain, "MX")
    records = sorted(
        (mx for mx in answer.rdatas if isinstance(mx, Mx)), key=lambda mx: (mx.preference, mx.host)
    )
    names = list(dict.fromkeys(mx.host for mx in records if mx.host))
    facts: dict[str, Any] = {
        "tlsa_hosts": [],
        "dnssec": answer.authenticated,
        "null_mx": bool(records) and not names,
        **not_queried(hosts_not_queried=len(names) - MAX_HOSTS),
    }
    if not names:
        return Outcome(facts, NOT_APPLICABLE.at(subject.domain))
    results = await look_up(names[:MAX_HOSTS], dns)
    hosts = [host for host in results if isinstance(host, Host)]
    failures = [host for host in results if isinstance(host, LookupFailed)]
    hosts_with_records = [host for host in hosts if host.records]
    facts["tlsa_hosts"] = [host.host for host in hosts_with_records]
    facts["dnssec"] = answer.authenticated and all(host.secure for host in hosts_with_records)
    findings = [finding for host in hosts for finding in _about(host)]
    if subject.tls_probes is not None and subject.now is not None:
        since = {host.host: _since(subject, host, subject.now) for host in hosts_with_records}
        compared = list(_compared(subject, subject.tls_probes, hosts_with_records, since))
        facts["tlsa_since"] = since
        facts["certificates"] = {item.host.host: item.fact for item in compared}
        findings += [item.finding for item in compared if item.match is Match.MISMATCH]
    # Without any record, hosts that could not be queried would count as missing.
    if not failures or hosts_with_records:
        findings += _coverage(subject.domain, hosts, answer)
    return finish(facts, findings, failures)


def _coverage(domain: str, hosts: Sequence[Host], mx: Answer) -> Iterator[Finding]:
    """Findings about all hosts together."""
    bare = [host for host in hosts if not host.records and not host.failure]
    if len(bare) == len(hosts):
        yield MISSING.at(domain, hosts=[host.host for host in bare], dnssec=mx.authenticated)
        return
    for host in bare:
        yield PARTIAL.at(host.host, owner=host.owner)
    if not mx.authenticated and any(host.secure for host in hosts if host.records):
        yield MX_INSECURE.at(domain)


_UNKNOWN_CA = (
    "a record describes a CA (usage 2), and the probe does not have all certificates of the host; "
    "compare the chain with POST /v1/domains/{domain}/dane/evaluate"
)
_OWN_CERTIFICATE = (
    "a record of usage 2 describes the host's own certificate instead of a CA, which not all "
    "senders accept; publish it with usage 3"
)
_OLDER_PROBE = "the records changed after the latest probe of the host"


class _Comparison(NamedTuple):
    """The records of one host, compared with the certificates that a probe saw.

    reason  why the result is undetermined
    """

    host: Host
    chain: Chain
    match: Match
    record: Tlsa | None
    reason: str | None

    @property
    def fact(self) -> dict[str, str | None]:
        return {
            "result": self.match.value,
            "record": str(self.record) if self.record else None,
            "reason": self.reason,
        }

    @property
    def finding(self) -> Finding:
        return MISMATCH.at(
            self.host.owner,
            host=self.host.host,
            records=list(map(str, self.host.records)),
            seen=f"3 1 1 {self.chain.leaf.association_data(1, 1)}",
        )


def _compared(
    subject: Subject,
    probes: Mapping[str, TlsProbe],
    hosts: Sequence[Host],
    since: Mapping[str, Mapping[str, str]],
) -> Iterator[_Comparison]:
    """Compare the hosts whose records senders use, and whose certificates a probe saw.

    A certificate may have been replaced together with its records, so a mismatch counts only if
    the host was probed after a scan first saw the records.
    """
    for host in hosts:
        probe = probes.get(host.host)
        chain = probed_chain(probe) if probe and host.secure and host.usable else None
        if probe is None or chain is None:
            continue
        first_seen_at = datetime.fromisoformat(since[host.host]["at"])
        probed_at = probe.probed_at or first_seen_at
        reference = Reference((host.host, subject.domain), probed_at)
        match, record = first_match(host.usable, chain, reference)
        reason = None
        if match is Match.UNDETERMINED:
            reason = _OWN_CERTIFICATE if chain.is_complete else _UNKNOWN_CA
        is_older = not probe.probed_at or probe.probed_at < first_seen_at
        if match is Match.MISMATCH and is_older:
            match, reason = Match.UNDETERMINED, _OLDER_PROBE
        yield _Comparison(host=host, chain=chain, match=match, record=record, reason=reason)


def _since(subject: Subject, host: Host, now: datetime) -> Mapping[str, str]:
    """The digest of the host's records, and when a scan first saw these records."""
    text = "\n".join(sorted(map(str, host.records)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    last: Mapping[str, str] = (
        subject.last_facts.get("dane", {}).get("tlsa_since", {}).get(host.host, {})
    )
    return last if last.get("sha256") == digest else {"sha256": digest, "at": timestamps.text(now)}


def _about(host: Host) -> Iterator[Finding]:
    """Findings about one host; none if it has no records."""
    if host.failure:
        yield BOGUS.at(host.owner, host=host.host, reason=host.failure.reason)
        return
    if host.records and not host.secure:
        yield NO_DNSSEC.at(host.owner, host=host.host, records=list(map(str, host.records)))
    faults = {str(tlsa): reason for tlsa in host.records if (reason := fault(tlsa))}
    if faults:
        severity = Severity.MEDIUM if host.usable else Severity.CRITICAL
        fix = _fix(
            host.owner,
            list(faults),
            [],
            "Senders cannot use the record. Remove it, or generate it again from the certificate.",
        )
        yield INVALID.at(host.owner, fix=fix, severity=severity, host=host.host, faults=faults)
    pkix = [tlsa for tlsa in host.records if tlsa.usage in PKIX]
    if pkix:
        after = [str(replace(tlsa, usage=PKIX[tlsa.usage])) for tlsa in pkix]
        why = "SMTP senders do not consult public CAs. Publish the same data as DANE-TA or DANE-EE."
        fix = _fix(host.owner, list(map(str, pkix)), after, why)
        yield UNSUITABLE.at(host.owner, fix=fix, host=host.host)
    if len(host.usable) == 1 and host.usable[0].usage == DANE_EE:
        yield NO_ROLLOVER.at(host.owner, host=host.host, record=str(host.usable[0]))


def _fix(owner: str, before: Sequence[str], after: Sequence[str], why: str) -> Fix:
    return Fix(
        action="replace" if after else "remove",
        name=owner,
        type="TLSA",
        before="\n".join(before),
        after="\n".join(after) or None,
        rollback=f"Restore {owner}. TLSA: {'; '.join(before)}",
        why=why,
    )
