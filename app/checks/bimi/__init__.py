"""BIMI: whether mail receivers would show the logo of the domain (draft-brand-indicators)."""

import re
from collections.abc import Sequence
from typing import Any

from app.checks.bimi import evidence
from app.checks.dmarc import discovery as dmarc_discovery
from app.checks.engine import cname_conflict
from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Verdict,
    check,
)
from app.ports.dns import Resolver
from app.ports.network import NetworkSession
from app.protocols import bimi as protocol
from app.protocols import dmarc
from app.protocols.bimi import Record, repair
from app.protocols.bimi import logo as bimi_logo
from app.protocols.bimi.logo import Problem
from app.protocols.dmarc import Policy
from app.protocols.dmarc import discovery as dmarc_discovery_module
from app.protocols.names import DomainName

_DRAFT = "draft-brand-indicators-for-message-identification"
# Mistakes in files that receivers do not read as long as they ignore the record.
_OF_FILES = ("bimi.logo_not_tiny_ps", *(kind.code for kind in evidence.OF_CONTENT))

MISSING = FindingType(
    code="bimi.missing",
    severity=Severity.INFO,
    summary="No BIMI record: receivers show no logo",
    observed="There is no TXT record at {subject}.",
    why="Mailbox providers that support BIMI show no logo next to your mail.",
    remediation="No action is needed, or publish a record at `default._bimi`.",
    reference=f"{_DRAFT} §4.2",
    verdict=Verdict.INFO,
)
SEVERAL = FindingType(
    code="bimi.multiple_records",
    severity=Severity.MEDIUM,
    summary="BIMI: more than one record, so receivers show no logo",
    observed="The records at {subject} are {records}.",
    why="Receivers ignore all of the records.",
    remediation="Keep one record, and remove the others.",
    note="There is a fix if all records were meant to be the same.",
    reference=f"{_DRAFT} §4.2",
    hides_others=True,
    leads_to=("bimi.dmarc_not_enforced", *_OF_FILES),
)
SYNTAX = FindingType(
    code="bimi.syntax_error",
    severity=Severity.MEDIUM,
    summary="BIMI: invalid record, so receivers show no logo",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Receivers ignore the record.",
    remediation="Correct what the finding names. Write `https:` instead of `http:` only if the "
    "file is also served by HTTPS.",
    note="It does not start with `v=BIMI1`, `l` is missing, or a location is not `https:`. The fix "
    "corrects all mistakes at once; there is none if the meaning is not evident, or if the "
    "locations in it cannot be fetched.",
    reference=f"{_DRAFT} §4.2",
    hides_others=True,
    is_syntax=True,
    leads_to=("bimi.dmarc_not_enforced", *_OF_FILES),
)
NOT_ENFORCED = FindingType(
    code="bimi.dmarc_not_enforced",
    severity=Severity.MEDIUM,
    summary="BIMI: DMARC policy is not enforced, so receivers show no logo",
    observed="The DMARC policy of {org_domain} is neither `quarantine` nor `reject` for all of its "
    "mail.",
    why="Receivers show logos only for domains that others cannot spoof.",
    remediation="Enforce the DMARC policy; see the findings of the dmarc check.",
    note="The policy must be quarantine or reject, at the organizational domain and for its "
    "subdomains too.",
    reference=f"{_DRAFT} §7",
)
UNREACHABLE = FindingType(
    code="bimi.logo_unreachable",
    severity=Severity.MEDIUM,
    summary="BIMI: logo cannot be fetched, so receivers do not show it",
    observed="The request for {subject} failed: {reason:text}.",
    why="Receivers have no logo to show.",
    remediation="Serve the file at the location in `l`.",
    note="The server does not answer with status 200 over valid TLS from a public address.",
    reference=f"{_DRAFT} §4.2",
    flaps=True,
    conceals=(
        *("bimi.logo_not_tiny_ps", "bimi.logo_not_square", "bimi.content_type"),
        "bimi.vmc_logo_hash_mismatch",
    ),
)
NOT_TINY = FindingType(
    code="bimi.logo_not_tiny_ps",
    severity=Severity.MEDIUM,
    summary="BIMI: logo is not a valid SVG Tiny PS file",
    observed="The logo at {subject} breaks the rules of SVG Tiny PS: {problems:text}.",
    why="Receivers refuse other files, so they show no logo.",
    remediation="Export the logo as SVG Tiny PS.",
    note="The finding lists what is wrong: scripts, images, a missing title, the wrong profile.",
    reference="draft-svg-tiny-ps §2",
)
NOT_SQUARE = FindingType(
    code="bimi.logo_not_square",
    severity=Severity.LOW,
    summary="BIMI: logo is not square, so receivers crop it or do not show it",
    observed="The width of the logo at {subject} is not its height.",
    why="The logo may appear cut off, or not at all.",
    remediation="Give the logo a square view box.",
    note="The width and height of its view box differ.",
    reference="draft-svg-tiny-ps §2",
)
CONTENT_TYPE = FindingType(
    code="bimi.content_type",
    severity=Severity.LOW,
    summary="BIMI: logo is not served as image/svg+xml, so some receivers refuse it",
    observed="{subject} is served with the content type {content_type}.",
    why="Receivers that verify the type show no logo.",
    remediation="Serve the file with the `Content-Type` header `image/svg+xml`.",
    reference="RFC 9110 §8.3",
)
VMC_MISSING = FindingType(
    code="bimi.vmc_missing",
    severity=Severity.INFO,
    summary="BIMI: no mark certificate, which many receivers require",
    observed="The record at {subject} names no certificate in its tag `a`.",
    why="Receivers that require a certificate (VMC or CMC) show no logo.",
    remediation="No action is needed, or obtain a mark certificate.",
    note="`a` is empty.",
    reference=f"{_DRAFT} §4.2",
)
DECLINED = FindingType(
    code="bimi.declined",
    severity=Severity.INFO,
    summary="BIMI: the domain declines to show a logo",
    observed="The tags `l` and `a` of the record at {subject} are empty.",
    why="Receivers show no logo for the domain, as it requests.",
    remediation="No action is needed.",
    note="`l` and `a` are empty on purpose.",
    reference=f"{_DRAFT} §4.2",
)
CNAME_CONFLICT = cname_conflict.finding_type(
    "bimi", "BIMI", reader="receivers", severity=Severity.MEDIUM
)


# The host and the path of a location; one match begins only where no other host has begun.
_LOCATION = re.compile(
    r"(?<![a-z0-9.-])[a-z0-9-]++(?:\.[a-z0-9-]++)++/[^\s;,:'\"<>\\]*+", re.ASCII | re.IGNORECASE
)


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether every location of a logo or certificate is still in the record."""
    return set(_LOCATION.findall(fix.before or "")) <= set(_LOCATION.findall(fix.after or ""))


@check(
    "bimi",
    finds=(
        *(MISSING, SEVERAL, SYNTAX, NOT_ENFORCED, UNREACHABLE, NOT_TINY, NOT_SQUARE),
        *(CONTENT_TYPE, VMC_MISSING, DECLINED, CNAME_CONFLICT, *evidence.FINDING_TYPES),
    ),
    logic_version=5,
    keeps=keeps,
)
async def bimi(subject: Subject, dns: NetworkSession) -> Outcome:
    """Check the record of the default selector, its logo, and whether DMARC allows it to be shown.

    facts  record, record_valid, record_at, logo, authority, declined, dmarc_enforced;
           authority_names, authority_not_after of the certificate, if it can be read
    """
    walk = await dmarc_discovery.walk(subject.domain, dns)
    at, texts = await _find(subject.domain, walk.org_domain, dns)
    conflicts = await cname_conflict.findings(CNAME_CONFLICT, f"default._bimi.{at}", dns)
    return (await _outcome(subject, walk, (at, texts), dns)).with_findings(conflicts)


async def _outcome(
    subject: Subject,
    walk: dmarc_discovery.Walk,
    published: tuple[DomainName, Sequence[str]],
    dns: NetworkSession,
) -> Outcome:
    """The outcome for the TXT values of a domain.

    published  the domain, and the values at its BIMI name
    """
    at, texts = published
    records = [text for text in texts if protocol.is_record(text)]
    name = f"default._bimi.{at}"
    if not records:
        if attempts := [text for text in texts if protocol.is_attempt(text)]:
            facts: dict[str, Any] = {"record": True, "record_valid": False}
            return Outcome(facts, _syntax(name, min(attempts), "does not start with v=BIMI1"))
        return Outcome({"record": False}, MISSING.at(name))
    facts = {"record": True, "record_valid": False, "record_at": at}
    if len(records) > 1:
        return Outcome(facts, SEVERAL.at(name, records=sorted(records), fix=_merged(name, records)))
    try:
        record = protocol.parse_record(records[0])
    except protocol.Unusable as error:
        return Outcome(facts, _syntax(name, records[0], error.reason))
    facts |= {"record_valid": True, "logo": record.l, "authority": record.a}
    facts["declined"] = record.declined
    if record.declined:
        return Outcome(facts, DECLINED.at(name))
    return await _shown(subject, walk, record, dns, facts)


def _syntax(name: str, text: str, reason: str) -> Finding:
    after = repair.repaired(text)
    why = "Receivers ignore the record in its current form."
    fix = Fix.replace_txt(name, [text], after=after, why=why) if after else None
    return SYNTAX.at(name, record=text, reason=reason, fix=fix)


def _merged(name: str, records: Sequence[str]) -> Fix | None:
    """The record that all were meant to be; None if they differ, so that the owner must choose."""
    meant = {repair.repaired(text) for text in records}
    [after, *others] = meant
    if after is None or others:
        return None
    why = "Receivers ignore all records if there is more than one. Publish one of them only."
    return Fix.replace_txt(name, sorted(records), after=after, why=why)


async def _shown(
    subject: Subject,
    walk: dmarc_discovery.Walk,
    record: Record,
    dns: NetworkSession,
    facts: dict[str, Any],
) -> Outcome:
    """The outcome for a usable record with these ``facts``: logo, certificate and DMARC."""
    is_enforced = await _is_enforced(walk, dns)
    findings = [] if is_enforced else [NOT_ENFORCED.at(subject.domain, org_domain=walk.org_domain)]
    logo, logo_findings = await _of_logo(record, dns)
    findings += logo_findings
    if record.a is None:
        findings.append(VMC_MISSING.at(f"default._bimi.{facts['record_at']}"))
    else:
        domains = (subject.domain, walk.org_domain)
        certified, certificate_findings = await evidence.check_evidence(
            dns, record.a, domains, subject.now, logo
        )
        facts |= certified
        findings += certificate_findings
    return Outcome(facts | {"dmarc_enforced": is_enforced}, *findings)


async def _find(
    domain: DomainName, org_domain: DomainName, dns: Resolver
) -> tuple[DomainName, Sequence[str]]:
    """The domain, or else its organizational domain, and the TXT values at its BIMI name."""
    texts = await dns.txt(f"default._bimi.{domain}")
    if org_domain != domain and not any(map(protocol.is_attempt, texts)):
        return org_domain, await dns.txt(f"default._bimi.{org_domain}")
    return domain, texts


async def _is_enforced(walk: dmarc_discovery.Walk, dns: Resolver) -> bool:
    """Whether p is quarantine or reject for the domain and for its whole organizational domain."""
    discovery = await dmarc_discovery.discover(walk, dns)
    at_org = walk.records.get(walk.org_domain)
    applied = discovery.record
    if applied and applied.p is Policy.QUARANTINE and (applied.pct or 100) < 100:
        return False  # receivers that show logos require the policy for all of the mail
    below = dmarc_discovery_module.policy_of(at_org, is_own=False)[0] if at_org else Policy.REJECT
    return not {discovery.effective_policy, below} & {None, dmarc.Policy.NONE}


async def _of_logo(record: Record, dns: NetworkSession) -> tuple[bytes | None, list[Finding]]:
    """The logo as served (None if it is not) and the findings about it."""
    if record.l is None:
        return None, []
    page = await evidence.fetch(dns, record.l)
    if reason := evidence.certificate_problem(page):
        return None, [UNREACHABLE.at(record.l, reason=reason, status=page.status)]
    problems = bimi_logo.problems(page.body)
    findings = []
    others = [problem.reason for problem in problems if problem is not Problem.NOT_SQUARE]
    if others:
        findings.append(NOT_TINY.at(record.l, problems=others))
    if Problem.NOT_SQUARE in problems:
        findings.append(NOT_SQUARE.at(record.l))
    if page.content_type.partition(";")[0].strip().lower() != "image/svg+xml":
        findings.append(CONTENT_TYPE.at(record.l, content_type=page.content_type))
    return page.body, findings
