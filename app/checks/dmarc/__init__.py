"""DMARC: which policy applies to the domain, and where its reports go (RFC 9989)."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.checks.dmarc import destinations as dmarc_destinations
from app.checks.dmarc import discovery as dmarc_discovery
from app.checks.dmarc import keeping, observed, policy_finding_types
from app.checks.dmarc import policy as dmarc_policy
from app.checks.dmarc.source import Source, repaired
from app.checks.engine import cname_conflict
from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Usage,
    check,
    finish,
    not_queried,
)
from app.ports.dns import Resolver
from app.protocols import dmarc as protocol
from app.protocols import public_suffix, tags
from app.protocols.dmarc import repair, strictness
from app.protocols.dmarc.discovery import Discovery
from app.protocols.names import DomainName

MISSING = FindingType(
    code="dmarc.missing",
    severity=Severity.CRITICAL,
    summary="No DMARC record: anyone can spoof this domain",
    observed="There is no DMARC record at {subject} or at a parent domain.",
    why="Receivers decide themselves what to do with mail that fails authentication, and you "
    "receive no reports about it.",
    remediation="Publish `p=none` with a reporting address, or `p=reject` for a domain that "
    "sends nothing.",
    reference="RFC 9989 §4.7",
    leads_to=("dmarc.policy_none", "dmarc.rua_missing", "dmarc.rua_mailbox_no_mx"),
)
SEVERAL = FindingType(
    code="dmarc.multiple_records",
    severity=Severity.CRITICAL,
    summary="DMARC: more than one record, so receivers ignore all of them",
    observed="The DMARC records at {subject} are {records}.",
    why="The domain has no DMARC protection, and you receive no reports.",
    remediation="Keep the record that you intend to use, and remove the others.",
    reference="RFC 9989 §4.10",
    hides_others=True,
)
SYNTAX = FindingType(
    code="dmarc.syntax_error",
    severity=Severity.CRITICAL,
    summary="DMARC: malformed record, so receivers ignore it",
    observed="The record at {subject} is {record}. It does not follow the syntax of DMARC.",
    why="The domain has no DMARC protection, and you receive no reports.",
    remediation="Publish the corrected record of the fix.",
    note="It looks like a DMARC record, but does not start with exactly `v=DMARC1;`.",
    reference="RFC 9989 §4.8",
    hides_others=True,
    is_syntax=True,
)
VERSION = FindingType(
    code="dmarc.version_not_first",
    severity=Severity.CRITICAL,
    summary="DMARC: v=DMARC1 is not the first tag, so receivers ignore the record",
    observed="The record at {subject} is {record}.",
    why="Receivers identify a DMARC record by its first tag, so the domain has no DMARC "
    "protection.",
    remediation="Move `v=DMARC1` to the front of the record.",
    reference="RFC 9989 §4.7",
    hides_others=True,
    is_syntax=True,
)
WRONG_PLACE = FindingType(
    code="dmarc.wrong_location",
    severity=Severity.HIGH,
    summary="DMARC: record is not at _dmarc, so receivers do not find it",
    observed="{subject} has the TXT record {records}. Receivers look for it at `_dmarc` below the "
    "domain.",
    why="Receivers look at `_dmarc` only, so the domain has no DMARC protection.",
    remediation="Move the record to `_dmarc`.",
    note="The record is published at the domain itself.",
    reference="RFC 9989 §4.7",
    hides_others=True,
    leads_to=("dmarc.policy_none",),
)
UNRELATED = FindingType(
    code="dmarc.unrelated_txt",
    severity=Severity.LOW,
    summary="DMARC: unrelated TXT records at _dmarc",
    observed="{subject} has the TXT record {records}.",
    why="Receivers ignore the records; they make the response larger, and often mean that a "
    "wildcard answers for `_dmarc`.",
    remediation="Remove the records.",
    reference="RFC 9989 §4.7",
)
NOT_PROCESSED = FindingType(
    code="dmarc.not_processed",
    severity=Severity.CRITICAL,
    summary="DMARC: neither a policy nor a reporting address, so receivers ignore the record",
    observed="The record at {subject} is {record}. It has neither a valid `p` nor a valid `rua`.",
    why="The record has the same effect as no record: there is no protection and there are no "
    "reports.",
    remediation="Correct `p`, or add `rua` with a reporting address.",
    reference="RFC 9989 §4.10.1",
)
INHERITED = FindingType(
    code="dmarc.inherited_from_org",
    severity=Severity.INFO,
    summary="DMARC: the record of a parent domain applies",
    observed="{subject} has no DMARC record of its own. That of {record_at} applies.",
    why="Receivers apply the policy of the parent to mail from this domain, because it has no "
    "record of its own.",
    remediation="No action is needed if the policy of the parent should apply.",
    reference="RFC 9989 §4.10",
)
DIFFERS = FindingType(
    code="dmarc.org_domain_differs_psl_vs_treewalk",
    severity=Severity.MEDIUM,
    summary="DMARC: older receivers use a different organizational domain",
    observed="The organizational domain of {subject} is {treewalk} according to RFC 9989, and "
    "{public_suffix_list} according to the public suffix list.",
    why="Whether mail is aligned, and which policy applies, depends on the receiver.",
    remediation="Publish a record at the organizational domain that should apply, or `psd=n` "
    "there.",
    note="The tree walk of RFC 9989 and the Public Suffix List of RFC 7489 give different domains.",
    reference="RFC 9989 §4.10.2",
)
TLD_RECORD = FindingType(
    code="dmarc.tld_record",
    severity=Severity.INFO,
    summary="DMARC: the record of the top-level domain applies",
    observed="Neither {subject} nor a parent domain below {record_at} has a DMARC record.",
    why="The registry of the top-level domain decides on the policy for your mail, and receives "
    "its reports.",
    remediation="Publish your own record.",
    note="Neither the domain nor its organizational domain has a record.",
    reference="RFC 9989 §4.10",
)


CNAME_CONFLICT = cname_conflict.finding_type(
    "dmarc", "DMARC", reader="receivers", severity=Severity.HIGH
)


@check(
    "dmarc",
    finds=(
        *(MISSING, SEVERAL, SYNTAX, VERSION, WRONG_PLACE, UNRELATED, NOT_PROCESSED),
        *(
            INHERITED,
            DIFFERS,
            TLD_RECORD,
            *policy_finding_types.FINDING_TYPES,
            *dmarc_destinations.FINDING_TYPES,
        ),
        *observed.FINDING_TYPES,
        CNAME_CONFLICT,
    ),
    logic_version=4,
    keeps=keeping.keeps,
)
async def dmarc(subject: Subject, dns: Resolver) -> Outcome:
    """Check the policy that applies to mail from this domain, and the record that it comes from.

    facts  record_at, org_domain, effective_policy, policy_tag; record, p, sp, np, testing, adkim,
           aspf, rua, ruf, rua_external, rua_not_queried (how many hosts beyond ten, if any),
           removed_tags, obsolete_size, record_count_at_domain, psl_org_domain, policy_since
    """
    domain = subject.domain
    walk = await dmarc_discovery.walk(domain, dns)
    discovery = await dmarc_discovery.discover(walk, dns)
    own = [text for text in walk.texts[domain] if protocol.is_record(text)]
    findings = list(_of_own_name(domain, walk.texts[domain], own))
    findings += await cname_conflict.findings(CNAME_CONFLICT, f"_dmarc.{domain}", dns)
    facts = _discovery_facts(domain, discovery) | {"record_count_at_domain": len(own)}
    if discovery.record_at is None or discovery.record is None:
        if not findings or all(finding.kind is UNRELATED for finding in findings):
            findings += await _missing(subject, dns)
        return Outcome(facts, *findings)
    text = walk.text_at(discovery.record_at)
    source = Source(
        record_at=discovery.record_at,
        org_domain=discovery.org_domain,
        text=text,
        record=discovery.record,
    )
    destinations = await dmarc_destinations.check_destinations(source, dns)
    findings += _of_discovery(domain, discovery, source)
    findings += dmarc_policy.findings(subject, discovery, source)
    findings += destinations.findings
    facts |= _facts(source) | {"rua_external": dict(destinations.external)}
    facts |= not_queried(rua_not_queried=destinations.not_queried)
    facts |= observed.facts(subject, source, discovery.policy_tag)
    findings += observed.findings(subject, source, facts)
    return finish(facts, findings, destinations.failures)


def _discovery_facts(domain: DomainName, discovery: Discovery) -> dict[str, Any]:
    return {
        "record_at": discovery.record_at,
        "org_domain": discovery.org_domain,
        "effective_policy": discovery.effective_policy,
        "policy_tag": discovery.policy_tag,
        "psl_org_domain": public_suffix.registrable(domain),
    }


def _facts(source: Source) -> dict[str, Any]:
    record = source.record
    return {
        "record": source.text,
        "p": record.p,
        "sp": record.sp,
        "np": record.np,
        "testing": record.testing,
        "adkim": record.adkim,
        "aspf": record.aspf,
        "rua": list(map(str, record.rua)),
        "ruf": list(map(str, record.ruf)),
        "removed_tags": list(record.removed_tags),
        "obsolete_size": record.has_obsolete_size,
    }


def _of_own_name(domain: DomainName, texts: Sequence[str], own: Sequence[str]) -> Iterator[Finding]:
    """Findings about the TXT values at the domain's own _dmarc that are not a single record."""
    name = f"_dmarc.{domain}"
    others = [text for text in texts if not protocol.is_record(text)]
    attempts = [text for text in others if protocol.is_attempt(text)]
    if len(own) > 1:
        yield SEVERAL.at(name, records=sorted(own), fix=_merged(name, own))
    if not own:
        for text in attempts:
            why = "Receivers ignore the record, because it must start with exactly v=DMARC1."
            yield SYNTAX.at(name, record=text, fix=repaired(name, text, why))
        misplaced = [text for text in others if "v=DMARC1" in text and text not in attempts]
        for text in misplaced:
            why = "Receivers ignore a record whose first tag is not v=DMARC1. Move it to the front."
            yield VERSION.at(name, record=text, fix=repaired(name, text, why))
        others = [text for text in others if text not in (*attempts, *misplaced)]
    if others:
        yield UNRELATED.at(name, records=others)


def _merged(name: str, own: Sequence[str]) -> Fix | None:
    """The strictest of the records, with the report addresses of all; None if one is unreadable."""
    texts = sorted(own)
    records = [repair.lenient(text) for text in texts]
    fixed = [repair.repaired(text) for text in texts]
    if None in records or None in fixed:
        return None
    ranked = [
        (strictness.policies(record), text)
        for record, text in zip(records, fixed, strict=True)
        if record and text
    ]
    _, after = max(ranked)
    for tag in ("rua", "ruf"):
        addresses = dict.fromkeys(uri for record in records for uri in getattr(record, tag))
        if addresses:
            after = tags.replaced(after, tag, ",".join(addresses))
    why = (
        "Receivers ignore all records if there is more than one. Publish one only: this is the "
        "strictest of them, with the report addresses of all."
    )
    return Fix.replace_txt(name, texts, after=after, why=why)


async def _missing(subject: Subject, dns: Resolver) -> list[Finding]:
    domain = subject.domain
    name = f"_dmarc.{domain}"
    is_silent = subject.usage in (Usage.PARKED, Usage.RECEIVES)
    policy = "reject" if is_silent else "none"
    takes_mail = any(mx.host for mx in await dns.mx(domain))
    record = f"v=DMARC1; p={policy}" + (
        f"; rua=mailto:dmarc-reports@{domain}" if takes_mail else ""
    )
    why = (
        "The domain sends no mail, so receivers can reject everything that claims to be from it."
        if is_silent
        else "p=none does not affect your mail, and with a report address (rua) the reports show "
        "who sends as your domain. The mailbox must exist."
    )
    fix = Fix.publish_txt(name, record, why)
    findings = [MISSING.at(name, fix=fix)]
    misplaced = [text for text in await dns.txt(domain) if protocol.is_record(text)]
    if misplaced:
        why = f"Receivers look for the record at {name} only. Move it there."
        back = f"Move the record back to {domain}."
        fix = Fix(
            action="publish",
            name=name,
            type="TXT",
            before=None,
            after=misplaced[0],
            rollback=back,
            why=why,
        )
        findings.append(WRONG_PLACE.at(domain, records=misplaced, fix=fix))
    return findings


def _of_discovery(domain: DomainName, discovery: Discovery, source: Source) -> Iterator[Finding]:
    if not source.record.is_processed:
        why = "Receivers ignore the parts with mistakes, and then the whole record."
        fix = source.repaired(why)
        yield NOT_PROCESSED.at(source.name, record=source.text, fix=fix)
    if source.record_at != domain:
        yield INHERITED.at(domain, record_at=source.record_at)
    if "." not in source.record_at:
        yield TLD_RECORD.at(domain, record_at=source.record_at)
    psl_domain = public_suffix.registrable(domain)
    if psl_domain is not None and psl_domain != discovery.org_domain:
        yield DIFFERS.at(domain, treewalk=discovery.org_domain, public_suffix_list=psl_domain)
