"""TLS-RPT: where senders report failures to deliver over TLS (RFC 8460 §3)."""

from collections.abc import Sequence
from typing import Any

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
    not_queried,
)
from app.ports.dns import LookupFailed, Resolver, or_failure
from app.protocols import mta_sts, tags
from app.protocols import tls_rpt as protocols_tls_rpt
from app.protocols.tls_rpt import TlsRptRecord

MISSING = FindingType(
    "tls_rpt.missing",
    Severity.LOW,
    "TLS-RPT is not set up, so you do not learn about TLS failures",
    "RFC 8460 §3",
    Verdict.INFO,
)
MISSING_WITH_STS = FindingType(
    "tls_rpt.missing_with_mta_sts",
    Severity.MEDIUM,
    "TLS-RPT is missing although MTA-STS is in use, so failures go unnoticed",
    "RFC 8460 §1",
)
SEVERAL = FindingType(
    "tls_rpt.multiple_records",
    Severity.HIGH,
    "TLS-RPT: more than one record, so senders ignore all of them",
    "RFC 8460 §3",
)
SYNTAX = FindingType(
    "tls_rpt.syntax_error",
    Severity.HIGH,
    "TLS-RPT: malformed record, so senders ignore it",
    "RFC 8460 §3",
)
RUA_MISSING = FindingType(
    "tls_rpt.rua_missing", Severity.HIGH, "TLS-RPT: no reporting address (rua)", "RFC 8460 §3"
)
RUA_INVALID = FindingType(
    "tls_rpt.rua_invalid_scheme",
    Severity.HIGH,
    "TLS-RPT: invalid reporting address (rua), so senders cannot report to it",
    "RFC 8460 §3",
)
RUA_DUPLICATE = FindingType(
    "tls_rpt.rua_duplicate", Severity.LOW, "TLS-RPT: reporting address listed twice", "RFC 8460 §3"
)
UNREACHABLE = FindingType(
    "tls_rpt.https_endpoint_unreachable",
    Severity.LOW,
    "TLS-RPT: host of a reporting address has no DNS address, so reports to it are lost",
    "RFC 8460 §3",
)
MAX_DESTINATIONS_CHECKED = (
    10  # hosts of report addresses: each costs queries, and a record may list hundreds
)


@check(
    "tls_rpt",
    finds=(
        *(MISSING, MISSING_WITH_STS, SEVERAL, SYNTAX),
        *(RUA_MISSING, RUA_INVALID, RUA_DUPLICATE, UNREACHABLE),
    ),
    logic_version=2,
)
async def tls_rpt(subject: Subject, dns: Resolver) -> Outcome:
    """Check the record at ``_smtp._tls`` and the hosts of its report addresses.

    facts  record; record_valid, rua, rua_unasked (how many hosts beyond ten, if any)
    """
    name = f"_smtp._tls.{subject.domain}"
    texts = await dns.txt(name)
    match [text for text in texts if protocols_tls_rpt.is_record(text)]:
        case []:
            return await _without_record(subject, name, texts, dns)
        case [text]:
            return await _check_record(name, text, dns)
        case records:
            why = "Senders ignore all records if there is more than one. Keep the one to use."
            fix = Fix("replace", name, "TXT", "\n".join(records), records[0], _back(records), why)
            facts = {"record": True, "record_valid": False, "rua": []}
            return Outcome(facts, SEVERAL.at(name, records=records, fix=fix))


async def _check_record(name: str, text: str, dns: Resolver) -> Outcome:
    try:
        record = protocols_tls_rpt.parse_record(text)
    except protocols_tls_rpt.TlsRptUnusable as error:
        kind = RUA_MISSING if error.code == "rua_missing" else RUA_INVALID
        facts: dict[str, Any] = {"record": True, "record_valid": False, "rua": []}
        return Outcome(facts, kind.at(name, record=text, reason=error.reason))
    findings: list[Finding] = [
        RUA_INVALID.at(f"{name} {problem.value}", reason=problem.reason)
        for problem in record.problems
        if problem.name == "rua"
    ]
    addresses = list(map(str, record.rua))
    if repeated := tags.repeated(addresses):
        after = tags.replaced(text, "rua", ",".join(dict.fromkeys(addresses)))
        fix = Fix(
            "replace",
            name,
            "TXT",
            text,
            after,
            _back([text]),
            "Senders may send each report twice. List the address once.",
        )
        findings.append(RUA_DUPLICATE.at(name, uris=list(repeated), fix=fix))
    hosts = list(dict.fromkeys(str(uri.host) for uri in record.rua if uri.scheme == "https"))
    results = await _have_addresses(hosts[:MAX_DESTINATIONS_CHECKED], dns)
    lost = [host for host, has_address in zip(hosts, results, strict=False) if has_address is False]
    findings += (_unreachable(name, text, record, host) for host in lost)
    facts = {"record": True, "record_valid": True, "rua": addresses}
    facts |= not_queried(rua_unasked=len(hosts) - MAX_DESTINATIONS_CHECKED)
    is_definite = not any(isinstance(result, LookupFailed) for result in results)
    return Outcome(facts, *findings, definite=is_definite)


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


def _unreachable(name: str, text: str, record: TlsRptRecord, host: str) -> Finding:
    lost = [str(uri) for uri in record.rua if uri.host == host and uri.scheme == "https"]
    fix = None
    if remaining := [str(uri) for uri in record.rua if str(uri) not in lost]:
        after = tags.replaced(text, "rua", ",".join(remaining))
        why = "Senders cannot post reports to this host. Keep the other addresses only."
        fix = Fix("replace", name, "TXT", text, after, _back([text]), why)
    return UNREACHABLE.at(host, uris=lost, fix=fix)


async def _without_record(
    subject: Subject, name: str, texts: tuple[str, ...], dns: Resolver
) -> Outcome:
    if attempts := [text for text in texts if protocols_tls_rpt.is_attempt(text)]:
        facts = {"record": True, "record_valid": False, "rua": []}
        return Outcome(facts, *(SYNTAX.at(name, record=text) for text in attempts[:1]))
    facts = {"record": False}
    if subject.usage in (Usage.PARKED, Usage.SENDS):
        return Outcome(facts)
    policies = await dns.txt(f"_mta-sts.{subject.domain}")
    kind = MISSING_WITH_STS if any(map(mta_sts.is_record, policies)) else MISSING
    record = f"v=TLSRPTv1; rua=mailto:tls-reports@{subject.domain}"
    why = "With this record, senders report failures to deliver over TLS. The mailbox must exist."
    fix = Fix("publish", name, "TXT", None, record, "Remove the record.", why)
    return Outcome(facts, kind.at(name, fix=fix))


def _back(texts: list[str]) -> str:
    return f"Publish again: {' | '.join(texts)}"
