"""TLS-RPT: where senders report failures to deliver over TLS (RFC 8460 §3)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from app.checks.engine import cname_conflict
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
    finish,
    not_queried,
)
from app.ports.dns import LookupFailed, Resolver, or_failure
from app.ports.network import NetworkSession
from app.protocols import repair, tags
from app.protocols.transport import mta_sts
from app.protocols.transport import tls_rpt as protocols_tls_rpt
from app.protocols.transport.tls_rpt import TlsRptRecord

MISSING = FindingType(
    code="tls_rpt.missing",
    severity=Severity.LOW,
    summary="TLS-RPT is not set up, so you do not learn about TLS failures",
    observed="There is no TXT record at {subject}.",
    why="Senders cannot report when they fail to deliver over TLS, so such failures go unnoticed.",
    remediation="Publish `v=TLSRPTv1; rua=mailto:…` at `_smtp._tls`.",
    note="Not reported for a domain that does not receive.",
    reference="RFC 8460 §3",
    verdict=Verdict.INFO,
)
MISSING_WITH_STS = FindingType(
    code="tls_rpt.missing_with_mta_sts",
    severity=Severity.MEDIUM,
    summary="TLS-RPT is missing although MTA-STS is in use, so failures go unnoticed",
    observed="There is no TXT record at {subject}, although the domain has an MTA-STS policy.",
    why="A failing MTA-STS policy delays or stops mail, and no report says so.",
    remediation="Publish `v=TLSRPTv1; rua=mailto:…` at `_smtp._tls`.",
    reference="RFC 8460 §1",
)
SEVERAL = FindingType(
    code="tls_rpt.multiple_records",
    severity=Severity.HIGH,
    summary="TLS-RPT: more than one record, so senders ignore all of them",
    observed="The records at {subject} are {records}.",
    why="Senders send no reports, so TLS failures go unnoticed.",
    remediation="Keep one record, and remove the others.",
    reference="RFC 8460 §3",
    hides_others=True,
)
SYNTAX = FindingType(
    code="tls_rpt.syntax_error",
    severity=Severity.HIGH,
    summary="TLS-RPT: malformed record, so senders ignore it",
    observed="The record at {subject} is {record}. It does not follow the syntax of TLS-RPT.",
    why="Senders send no reports, so TLS failures go unnoticed.",
    remediation="Correct the record.",
    note="It does not start with exactly `v=TLSRPTv1;`.",
    reference="RFC 8460 §3",
    hides_others=True,
    is_syntax=True,
)
RUA_MISSING = FindingType(
    code="tls_rpt.rua_missing",
    severity=Severity.HIGH,
    summary="TLS-RPT: no reporting address (rua)",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Senders have nowhere to send reports, so TLS failures go unnoticed.",
    remediation="Add `rua` with a `mailto:` or `https:` address.",
    reference="RFC 8460 §3",
)
RUA_INVALID = FindingType(
    code="tls_rpt.rua_invalid_scheme",
    severity=Severity.HIGH,
    summary="TLS-RPT: invalid reporting address (rua), so senders cannot report to it",
    observed="An address{item:aside} in the record at {name} cannot be used: {reason:text}.",
    why="You do not get the reports that should go to this address.",
    remediation="Correct the address; only `mailto:` and `https:` are allowed.",
    reference="RFC 8460 §3",
    hides_others=True,
    is_syntax=True,
)
RUA_DUPLICATE = FindingType(
    code="tls_rpt.rua_duplicate",
    severity=Severity.LOW,
    summary="TLS-RPT: reporting address listed twice",
    observed="The record at {subject} lists {uris} more than once.",
    why="Senders may send each report twice, so that sessions are counted twice.",
    remediation="List the address once.",
    reference="RFC 8460 §3",
)
UNREACHABLE = FindingType(
    code="tls_rpt.https_endpoint_unreachable",
    severity=Severity.LOW,
    summary="TLS-RPT: host of a reporting address has no DNS address, so reports to it are lost",
    observed="The reporting address is {uris}, and {subject} has neither an A nor an AAAA record.",
    why="Senders cannot post reports to this address.",
    remediation="Give the host an address, or remove the reporting address.",
    note="The host does not exist, or has neither an A nor an AAAA record.",
    reference="RFC 8460 §3",
)
NO_MAILBOX = FindingType(
    code="tls_rpt.rua_mailbox_no_mx",
    severity=Severity.MEDIUM,
    summary="TLS-RPT: host of a reporting address accepts no email, so reports to it are lost",
    observed="The reporting address is {uris}, and {subject} has no mail server.",
    why="Reports to this address cannot be delivered.",
    remediation="Use a mailbox that exists.",
    note="The host has a null MX, or neither MX nor address records. Info if another address "
    "gets the reports.",
    reference="RFC 5321 §5.1",
)
CNAME_CONFLICT = cname_conflict.finding_type(
    "tls_rpt", "TLS-RPT", reader="senders", severity=Severity.MEDIUM
)
DUPLICATE_TAG = FindingType(
    code="tls_rpt.duplicate_tag",
    severity=Severity.LOW,
    summary="TLS-RPT: duplicate tag, so only the first value counts",
    observed="The record at {subject} is {record}. The tag {tags} appears more than once.",
    why="Senders may differ in the value that they use, so an address may get no reports.",
    remediation="Keep one `rua` with all addresses, separated by commas.",
    reference="RFC 8460 §3",
    is_syntax=True,
)
MALFORMED_TAG = FindingType(
    code="tls_rpt.malformed_tag",
    severity=Severity.LOW,
    summary="TLS-RPT: malformed tag, so some senders ignore the record",
    observed="The record at {name} is {record}. The part {item} cannot be read: {reason:text}.",
    why="Senders that verify the whole record send no reports.",
    remediation="Correct or remove the part.",
    note="A part between two semicolons is not of the form `name=value`, without blanks.",
    reference="RFC 8460 §3",
    is_syntax=True,
)
KNOWN_TAGS = ("v", "rua")
MAX_DESTINATIONS_CHECKED = (
    10  # hosts of report addresses: each costs queries, and a record may list hundreds
)


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether every report address of the records before is in the record after."""
    addresses_after: set[str] = set()
    for text in await after.txt(fix.name):
        if protocols_tls_rpt.is_record(text):
            addresses_after |= set(map(str, protocols_tls_rpt.parse_record(text).rua))
    for text in await before.txt(fix.name):
        if protocols_tls_rpt.is_attempt(text):
            addresses = _addresses(text)
            if addresses is None or not set(addresses) <= addresses_after:
                return False
    return True


@check(
    "tls_rpt",
    finds=(
        *(MISSING, MISSING_WITH_STS, SEVERAL, SYNTAX),
        *(RUA_MISSING, RUA_INVALID, RUA_DUPLICATE, UNREACHABLE, NO_MAILBOX, CNAME_CONFLICT),
        *(DUPLICATE_TAG, MALFORMED_TAG),
    ),
    logic_version=6,
    keeps=keeps,
)
async def tls_rpt(subject: Subject, dns: Resolver) -> Outcome:
    """Check the record at ``_smtp._tls`` and the hosts of its report addresses.

    facts  record, alias (the name to which a CNAME record leads, or None); record_valid, rua,
           rua_not_queried (how many hosts beyond ten, if any)
    """
    name = f"_smtp._tls.{subject.domain}"
    aliases = (await dns.resolve(name, "TXT")).aliases
    conflicts = await cname_conflict.findings(CNAME_CONFLICT, name, dns)
    outcome = await _outcome(subject, name, dns)
    outcome.facts = {**outcome.facts, "alias": aliases[-1] if aliases else None}
    return outcome.with_findings(conflicts)


async def _outcome(subject: Subject, name: str, dns: Resolver) -> Outcome:
    texts = await dns.txt(name)
    match [text for text in texts if protocols_tls_rpt.is_record(text)]:
        case []:
            return await _without_record(subject, name, texts, dns)
        case [text]:
            return await _check_record(name, text, dns)
        case records:
            facts = {"record": True, "record_valid": False, "rua": []}
            finding = SEVERAL.at(name, records=sorted(records), fix=_merged(name, records))
            return Outcome(facts, finding)


async def _check_record(name: str, text: str, dns: Resolver) -> Outcome:
    why = "Each address must be a URI such as mailto:reports@example.com."
    try:
        record = protocols_tls_rpt.parse_record(text)
    except protocols_tls_rpt.TlsRptUnusable as error:
        kind = RUA_MISSING if error.code == "rua_missing" else RUA_INVALID
        facts: dict[str, Any] = {"record": True, "record_valid": False, "rua": []}
        fix = _repaired(name, text, why)
        return Outcome(facts, kind.at(name, record=text, reason=error.reason, fix=fix))
    unusable = [problem for problem in record.problems if problem.name == "rua"]
    fix = _repaired(name, text, why) if unusable else None
    findings: list[Finding] = [
        RUA_INVALID.at(
            f"{name} {problem.value}", reason=problem.reason, severity=Severity.LOW, fix=fix
        )  # another address gets the reports
        for problem in unusable
    ]
    addresses = list(map(str, record.rua))
    if repeated := tags.repeated(addresses):
        once = _repaired(name, text, "Senders may send each report twice. List the address once.")
        findings.append(RUA_DUPLICATE.at(name, uris=list(repeated), fix=once))
    findings += _of_tags(name, text, record)
    unreachable, failures = await _of_hosts(record, dns)
    findings += unreachable
    facts = {"record": True, "record_valid": True, "rua": addresses}
    hosts = {uri.host for uri in record.rua}
    facts |= not_queried(rua_not_queried=len(hosts) - MAX_DESTINATIONS_CHECKED)
    return finish(facts, findings, failures, worst=Verdict.WARN)


def _of_tags(name: str, text: str, record: TlsRptRecord) -> Iterator[Finding]:
    malformed = [problem for problem in record.problems if not problem.name]
    why = "Publish one rua with all addresses, separated by commas, and no part without a name."
    fix = _repaired(name, text, why) if malformed or record.duplicate_tags else None
    for problem in malformed:
        part = f"{name} {problem.value[:60]}"
        yield MALFORMED_TAG.at(part, record=text, reason=problem.reason, fix=fix)
    if record.duplicate_tags:
        yield DUPLICATE_TAG.at(name, record=text, tags=list(record.duplicate_tags), fix=fix)


async def _of_hosts(
    record: TlsRptRecord, dns: Resolver
) -> tuple[list[Finding], list[LookupFailed]]:
    """Findings about hosts that cannot receive reports, and the failed lookups."""
    hosts = list(dict.fromkeys((str(uri.host), uri.scheme) for uri in record.rua if uri.host))
    hosts = hosts[:MAX_DESTINATIONS_CHECKED]
    mail = [host for host, scheme in hosts if scheme == "mailto"]
    dns.prefetch(*((host, "MX") for host in mail))
    web = [host for host, scheme in hosts if scheme != "mailto"]
    results = [await or_failure(_takes_mail(host, dns)) for host in mail]
    results += await _have_addresses(web, dns)
    lost = [host for host, works in zip([*mail, *web], results, strict=True) if works is False]
    arrives = any(works is not False for works in results)  # as far as is known
    findings = []
    for host in lost:
        uris = [str(uri) for uri in record.rua if uri.host == host]
        kind = UNREACHABLE if host in web else NO_MAILBOX
        severity = Severity.INFO if arrives and kind is NO_MAILBOX else None
        findings.append(kind.at(host, uris=uris, severity=severity))
    return findings, [result for result in results if isinstance(result, LookupFailed)]


async def _takes_mail(host: str, dns: Resolver) -> bool:
    if records := await dns.mx(host):
        return any(mx.host for mx in records)
    return await _has_address(host, dns)


async def _have_addresses(hosts: Sequence[str], dns: Resolver) -> list[bool | LookupFailed]:
    """Whether each host has an address, or why the lookup failed; there is no connection to it."""
    dns.prefetch(*((host, rdtype) for host in hosts for rdtype in ("A", "AAAA")))
    return [await or_failure(_has_address(host, dns)) for host in hosts]


async def _has_address(host: str, dns: Resolver) -> bool:
    first, second = (
        await or_failure(dns.resolve(host, "A")),
        await or_failure(dns.resolve(host, "AAAA")),
    )
    answers = [result for result in (first, second) if not isinstance(result, LookupFailed)]
    if any(answer.rdatas for answer in answers):
        return True
    for result in (first, second):
        if isinstance(result, LookupFailed):
            raise result
    return False


async def _without_record(
    subject: Subject, name: str, texts: tuple[str, ...], dns: Resolver
) -> Outcome:
    if attempts := [text for text in texts if protocols_tls_rpt.is_attempt(text)]:
        facts = {"record": True, "record_valid": False, "rua": []}
        text = min(attempts)
        why = "Senders ignore the record: it must start with exactly v=TLSRPTv1 and a semicolon."
        return Outcome(facts, SYNTAX.at(name, record=text, fix=_repaired(name, text, why)))
    facts = {"record": False}
    if subject.usage in (Usage.PARKED, Usage.SENDS):
        return Outcome(facts)
    policies = await dns.txt(f"_mta-sts.{subject.domain}")
    kind = MISSING_WITH_STS if any(map(mta_sts.is_record, policies)) else MISSING
    record = f"v=TLSRPTv1; rua=mailto:tls-reports@{subject.domain}"
    why = "With this record, senders report failures to deliver over TLS. The mailbox must exist."
    fix = Fix.publish_txt(name, record, why)
    return Outcome(facts, kind.at(name, fix=fix))


def _addresses(text: str) -> list[str] | None:
    """The report addresses that the record was meant to have; None if they are not evident."""
    pairs = dict(repair.tag_pairs(text, KNOWN_TAGS, protocols_tls_rpt.VERSION) or ())
    is_versioned = re.fullmatch(r"tlsrpt(v?[0-9]+)?", pairs.get("v", ""), re.ASCII | re.IGNORECASE)
    return repair.addresses(pairs.get("rua", "")) if is_versioned else None


def _repaired(name: str, text: str, why: str) -> Fix | None:
    """The fix that corrects every mistake in the record; None if the meaning is not evident."""
    addresses = _addresses(text)
    if not addresses:
        return None
    pairs = dict(repair.tag_pairs(text, KNOWN_TAGS, protocols_tls_rpt.VERSION) or ())
    pairs |= {"v": protocols_tls_rpt.VERSION, "rua": ",".join(addresses)}
    after = repair.joined([("v", pairs.pop("v")), *pairs.items()])
    if after == text:
        return None
    return Fix.replace_txt(name, [text], after=after, why=why)


def _merged(name: str, records: Sequence[str]) -> Fix | None:
    """One record with the addresses of all; None if one cannot be read."""
    texts, addresses = sorted(records), dict[str, None]()
    for text in texts:
        evident = _addresses(text)
        if not evident:
            return None
        addresses |= dict.fromkeys(evident)
    after = f"v={protocols_tls_rpt.VERSION}; rua={','.join(addresses)}"
    why = "Senders ignore all records if there is more than one. Publish one with all addresses."
    return Fix.replace_txt(name, texts, after=after, why=why)
