"""Which CAs may issue certificates for the domain, and for the host of its MTA-STS policy."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

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
)
from app.ports.dns import Caa, LookupFailed, Resolver, or_failure
from app.ports.network import NetworkSession
from app.protocols import uris

MISSING = FindingType(
    code="caa.missing",
    severity=Severity.LOW,
    summary="No CAA record: any CA can issue certificates",
    observed="There is no CAA record at {subject} or at a parent domain.",
    why="Every public CA may issue a certificate for the domain, also to an attacker who "
    "deceives only one of them.",
    remediation="Publish `CAA 0 issue` with the domain of your CA.",
    note="There is no CAA record from the name up to its TLD.",
    reference="RFC 8659 §3",
    verdict=Verdict.INFO,
)
UNKNOWN_CRITICAL = FindingType(
    code="caa.unknown_critical",
    severity=Severity.HIGH,
    summary="CAA: unknown critical property, so no CA may issue certificates",
    observed="The CAA records for {subject} are {records}.",
    why="CAs must refuse to issue if they do not know such a property, so certificates cannot be "
    "renewed.",
    remediation="Remove the record, or its flag 128.",
    reference="RFC 8659 §4.5",
)
SYNTAX = FindingType(
    code="caa.syntax_error",
    severity=Severity.MEDIUM,
    summary="CAA: malformed property, which authorizes no CA",
    observed="The CAA records for {subject} are {records}.",
    why="CAs treat the unreadable value as a prohibition, so certificates may not be renewed.",
    remediation="Correct the value: the domain of the CA, then `; name=value`.",
    note="Concerns the properties issue, issuewild and issuemail.",
    reference="RFC 8659 §4.2",
)
FORBIDDEN = FindingType(
    code="caa.issuance_forbidden",
    severity=Severity.INFO,
    summary="CAA: no CA may issue certificates",
    observed="The CAA records for {subject} are {records}.",
    why="No CA can issue or renew a certificate for the name; at `mta-sts.<domain>` this also "
    "affects the policy host.",
    remediation="No action is needed if it is intended; otherwise publish `CAA 0 issue` with the "
    "domain of your CA.",
    note="Every `issue` property is empty (`;`).",
    reference="RFC 8659 §4.2",
)

UNRESTRICTED = FindingType(
    code="caa.issuance_unrestricted",
    severity=Severity.INFO,
    summary="CAA: no property restricts TLS certificates, so any CA can issue them",
    observed="The CAA records for {subject} are {records}. None of them has the property `issue`.",
    why="Every public CA may issue a TLS certificate for the name.",
    remediation="Publish `CAA 0 issue` with the domain of your CA.",
    note="The records have neither an `issue` nor an `issuewild` property: `iodef` and "
    "`issuemail` restrict no TLS certificate.",
    reference="RFC 8659 §4.2",
    verdict=Verdict.INFO,
)
WILDCARDS_ONLY = FindingType(
    code="caa.only_wildcards_restricted",
    severity=Severity.INFO,
    summary="CAA: only wildcard certificates are restricted, so any CA can issue all others",
    observed="The CAA records for {subject} are {records}. None of them has the property `issue`.",
    why="Every public CA may issue a TLS certificate for the name itself, although the records "
    "restrict those for wildcards.",
    remediation="Publish `CAA 0 issue` with the domain of your CA, next to `issuewild`.",
    note="The records have an `issuewild` property and no `issue` property.",
    reference="RFC 8659 §4.3",
    verdict=Verdict.INFO,
)
IODEF_INVALID = FindingType(
    code="caa.iodef_invalid",
    severity=Severity.LOW,
    summary="CAA: invalid address for violation reports (iodef), so CAs cannot report to it",
    observed="A CAA record for {name} has the address {item}: {reason:text}.",
    why="You do not learn when someone requests a certificate that the records forbid.",
    remediation="Correct the address; it must be a `mailto:`, `http:` or `https:` URL.",
    reference="RFC 8659 §4.4",
)

CRITICAL = 128
ISSUERS = ("issue", "issuewild", "issuemail")  # RFC 9495 has the last
_KNOWN = (*ISSUERS, "issuevmc", "iodef", "contactemail", "contactphone")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_PARAMETER = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?[ \t]*=(?:[ \t]*[\x21-\x3a\x3c-\x7e]+)?"
_ISSUER = re.compile(
    rf"[ \t]*(?:({_LABEL}(?:\.{_LABEL})*)[ \t]*)?"
    rf"(?:;[ \t]*(?:{_PARAMETER}(?:[ \t]*;[ \t]*{_PARAMETER})*[ \t]*)?)?",
    re.IGNORECASE,
)


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether every kind of certificate that the records restrict is still restricted."""
    old = {record.tag.lower() for record in await _set(fix.name, before)}
    new = {record.tag.lower() for record in await _set(fix.name, after)}
    return all(tag in new for tag in ISSUERS if tag in old)


@check(
    "caa",
    finds=(
        *(MISSING, UNKNOWN_CRITICAL, SYNTAX, FORBIDDEN, UNRESTRICTED, WILDCARDS_ONLY),
        IODEF_INVALID,
    ),
    logic_version=4,
    keeps=keeps,
)
async def caa(subject: Subject, dns: Resolver) -> Outcome:
    """Check which CAs may issue certificates for the domain and for its MTA-STS policy host.

    facts   record, found_at (the name of the set that applies, or None), issue, issuewild,
            issuemail (CAs, sorted; empty without the property, or if it allows no CA), iodef,
            restricted (the kinds of certificates that not every CA may issue)
    source  RFC 8659 §3, §4; RFC 9495
    """
    policy_host = f"mta-sts.{subject.domain}"
    dns.prefetch((subject.domain, "CAA"), (policy_host, "CAA"))
    owner, records = await _relevant(subject.domain, dns)
    special = await or_failure(_set(policy_host, dns))
    facts = {
        "record": bool(records),
        "found_at": owner,
        **{tag: _issuers(records, tag) for tag in ISSUERS},
        "iodef": sorted(record.value for record in records if record.tag.lower() == "iodef"),
        "restricted": _restricted(records),
    }
    findings = list(_about(owner, records)) if owner else [MISSING.at(subject.domain)]
    if isinstance(special, LookupFailed):
        return finish(facts, findings, [special])
    return Outcome(facts, *findings, *_about(policy_host, special))


async def _relevant(name: str, dns: Resolver) -> tuple[str | None, tuple[Caa, ...]]:
    """The first non-empty set from the name up to its TLD, and the name that has it.

    Names are queried one after another: a CA stops at the first set too, so a failure above it does
    not matter.
    """
    while name:
        records = await _set(name, dns)
        if records:
            return name, records
        name = name.partition(".")[2]
    return None, ()


async def _set(name: str, dns: Resolver) -> tuple[Caa, ...]:
    answer = await dns.resolve(name, "CAA")
    return tuple(record for record in answer.rdatas if isinstance(record, Caa))


def _restricted(records: Sequence[Caa]) -> list[str]:
    """The kinds of certificates that not every CA may issue: ``tls``, ``wildcard``, ``email``.

    source  RFC 8659 §4.2, §4.3 (``issue`` also applies to wildcards without ``issuewild``), §4.5
    """
    tags = {record.tag.lower() for record in records}
    properties = {
        "tls": {"issue"},
        "wildcard": {"issue", "issuewild"},
        "email": {"issuemail"},
    }
    is_refused = bool(_unknown_critical(records))
    return [kind for kind, names in properties.items() if is_refused or names & tags]


def _unknown_critical(records: Sequence[Caa]) -> list[Caa]:
    return [
        record for record in records if record.flags & CRITICAL and record.tag.lower() not in _KNOWN
    ]


def _issuers(records: Sequence[Caa], tag: str) -> list[str]:
    issuers = {issuer(record.value) for record in records if record.tag.lower() == tag}
    return sorted(issuer for issuer in issuers if issuer)


def issuer(value: str) -> str | None:
    """The CA's domain; "" where the value names none (RFC 8659 §4.2); None if it cannot be read."""
    match = _ISSUER.fullmatch(value)
    return (match[1] or "").lower() if match else None


def _about(owner: str, records: Sequence[Caa]) -> Iterator[Finding]:
    """Findings about one set; none for an empty one."""
    unknown = _unknown_critical(records)
    if unknown:
        why = "CAs that do not know a critical property must refuse to issue. Remove the record."
        yield UNKNOWN_CRITICAL.at(owner, fix=_removal(owner, unknown, why), records=_texts(unknown))
    issuing = [record for record in records if record.tag.lower() in ISSUERS]
    unreadable = [record for record in issuing if issuer(record.value) is None]
    if unreadable:
        yield SYNTAX.at(owner, fix=_correction(owner, unreadable), records=_texts(unreadable))
    for record in records:
        if record.tag.lower() == "iodef" and (reason := _iodef_problem(record.value)):
            yield IODEF_INVALID.at(f"{owner} {record.value}", reason=reason)
    issue, wildcard = (
        [issuer(record.value) for record in issuing if record.tag.lower() == tag]
        for tag in ("issue", "issuewild")
    )
    if not issue and records and not unknown:
        kind = WILDCARDS_ONLY if wildcard else UNRESTRICTED
        yield kind.at(owner, records=_texts(records))
    elif set(issue) == {""} and not any(wildcard):
        yield FORBIDDEN.at(owner, records=_texts(issuing))


def _iodef_problem(value: str) -> str | None:
    """Why the value is not an address for reports; None if it is one (RFC 8659 §4.4)."""
    try:
        uri = uris.parse(value.strip())
    except ValueError as error:
        return str(error)
    if uri.scheme in ("mailto", "http", "https"):
        return None
    return "only mailto:, http: and https: URLs are allowed"


def _texts(records: Sequence[Caa]) -> list[str]:
    return [str(record) for record in records]


def _correction(owner: str, records: Sequence[Caa]) -> Fix:
    """The fix that writes the values as they were meant; their removal if one is not evident."""
    corrected = [replace(record, value=_repaired(record.value)) for record in records]
    if any(issuer(record.value) is None for record in corrected):
        why = "CAs treat a value that they cannot read as allowing no CA. Correct or remove it."
        return _removal(owner, records, why)
    before, after = "\n".join(_texts(records)), "\n".join(_texts(corrected))
    return Fix(
        action="replace",
        name=owner,
        type="CAA",
        before=before,
        after=after,
        rollback=f"Publish {owner}. CAA again: {before}",
        why="CAs treat a value that they cannot read as allowing no CA.",
    )


def _repaired(value: str) -> str:
    """The value without a semicolon to which no parameter belongs, and without quotes around it."""
    parts = [part.strip(" \t") for part in value.strip(" \t\"'").split(";")]
    domain, *parameters = parts
    return "; ".join((domain, *filter(None, parameters)))


def _removal(owner: str, records: Sequence[Caa], why: str) -> Fix:
    before = "\n".join(_texts(records))
    return Fix(
        action="remove",
        name=owner,
        type="CAA",
        before=before,
        after=None,
        rollback=f"Publish {owner}. CAA again: {before}",
        why=why,
    )
