"""The mark certificate of a BIMI logo, and whether receivers would accept it."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from app.checks.engine.expiry import expires_soon
from app.checks.engine.types import Finding, FindingType, Severity
from app.ports.http import HttpClient, Page
from app.protocols import timestamps
from app.protocols.bimi import mark_certificates
from app.protocols.bimi.mark_certificates import MarkCertificate
from app.protocols.uris import Uri

_DRAFT = "draft-fetch-validation-vmc-wchuang"

UNREACHABLE = FindingType(
    code="bimi.vmc_unreachable",
    severity=Severity.MEDIUM,
    summary="BIMI: mark certificate cannot be fetched",
    observed="The request for {subject} failed: {reason:text}.",
    why="Receivers that require a certificate show no logo.",
    remediation="Serve the PEM file at the location in `a` over HTTPS, or correct the location.",
    reference=f"{_DRAFT} §5",
    flaps=True,
    conceals=(
        *("bimi.vmc_invalid", "bimi.vmc_expired", "bimi.vmc_expiring", "bimi.vmc_domain_mismatch"),
        *("bimi.vmc_chain_broken", "bimi.vmc_logo_hash_mismatch"),
    ),
)
INVALID = FindingType(
    code="bimi.vmc_invalid",
    severity=Severity.MEDIUM,
    summary="BIMI: not a valid mark certificate",
    observed="The file at {subject} cannot be used: {reason:text}.",
    why="Receivers that require a certificate show no logo.",
    remediation="Publish the file that the CA gave you.",
    note="The file contains no certificate in PEM, or one that is not issued for marks.",
    reference=f"{_DRAFT} §4",
)
EXPIRED = FindingType(
    code="bimi.vmc_expired",
    severity=Severity.MEDIUM,
    summary="BIMI: mark certificate has expired, so receivers show no logo",
    observed="The certificate at {subject} was valid until {not_after:day}.",
    why="Receivers do not accept an expired certificate, so those that require one show no logo.",
    remediation="Renew the certificate.",
    reference=f"{_DRAFT} §5",
)
EXPIRING = FindingType(
    code="bimi.vmc_expiring",
    severity=Severity.MEDIUM,
    summary="BIMI: mark certificate expires soon",
    observed="The certificate at {subject} is valid until {not_after:day}.",
    why="When it expires, receivers that require a certificate show no logo.",
    remediation="Renew the certificate in time; issuing one takes weeks.",
    note="30 days or less are left; high in 7, critical in one.",
    reference=f"{_DRAFT} §5",
)
MISMATCH = FindingType(
    code="bimi.vmc_domain_mismatch",
    severity=Severity.MEDIUM,
    summary="BIMI: mark certificate is for another domain",
    observed="The certificate at {subject} contains the names {names}.",
    why="Receivers do not accept the certificate, so those that require one show no logo.",
    remediation="Have the certificate issued for the domain.",
    note="It contains neither the domain nor its organizational domain.",
    reference=f"{_DRAFT} §5",
)
CHAIN = FindingType(
    code="bimi.vmc_chain_broken",
    severity=Severity.MEDIUM,
    summary="BIMI: certificate chain of the mark certificate is broken",
    observed="The certificate at {subject} cannot be verified: {reason:text}.",
    why="Receivers cannot verify the certificate, so those that require one show no logo.",
    remediation="Publish the complete file that the CA gave you, with the intermediate "
    "certificates.",
    note="The issuer's certificate is not in the file, or a signature in it is not the issuer's.",
    reference=f"{_DRAFT} §5",
)
LOGO_MISMATCH = FindingType(
    code="bimi.vmc_logo_hash_mismatch",
    severity=Severity.MEDIUM,
    summary="BIMI: logo differs from the one in the mark certificate",
    observed="The logo of the record has another hash than the one in the certificate at "
    "{subject}. Its SHA-256 hash is {logo_sha256}.",
    why="Receivers that compare the two show no logo.",
    remediation="Serve exactly the file that the certificate was issued for.",
    note="The certificate contains an image or its hash, and the logo at `l` differs by at least "
    "one octet; line endings and compression make no difference.",
    reference="RFC 3709 §4.1",
)
OF_CONTENT = (INVALID, EXPIRED, EXPIRING, MISMATCH, CHAIN, LOGO_MISMATCH)
FINDING_TYPES = (UNREACHABLE, *OF_CONTENT)


async def fetch(http: HttpClient, uri: Uri) -> Page:
    """The response of the server at ``uri``; a port other than 443 counts as a failure."""
    parts = urlsplit(uri)
    if parts.port not in (None, 443):
        return Page(uri, failure="port", detail="only port 443 is queried")
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return await http.fetch(str(uri.host), target)


def certificate_problem(page: Page) -> str | None:
    """Why the server returned no file, as text for people; None if it did."""
    if page.failure or page.status != 200:
        return page.detail or page.failure or f"HTTP status {page.status}"
    return None


async def check_evidence(
    http: HttpClient, uri: Uri, domains: Iterable[str], now: datetime | None, logo: bytes | None
) -> tuple[dict[str, Any], list[Finding]]:
    """The facts and findings of the certificate at ``uri``.

    domains  the domains that show the logo; the certificate must be for one of them
    logo     the published file; None if it is not known
    """
    page = await fetch(http, uri)
    if reason := certificate_problem(page):
        return {}, [UNREACHABLE.at(uri, reason=reason, status=page.status)]
    try:
        certificate = mark_certificates.parse(page.body)
    except mark_certificates.CertificateUnreadable as error:
        return {}, [INVALID.at(uri, reason=str(error))]
    ends = timestamps.text(certificate.not_after)
    facts = {"authority_names": list(certificate.names), "authority_not_after": ends}
    findings = []
    if not certificate.covers(domains):
        findings.append(MISMATCH.at(uri, names=list(certificate.names)))
    if certificate.chain_fault:
        findings.append(CHAIN.at(uri, reason=certificate.chain_fault))
    if logo is not None and certificate.shows(logo) is False:
        findings.append(LOGO_MISMATCH.at(uri, logo_sha256=hashlib.sha256(logo).hexdigest()))
    if (finding := _of_end(uri, certificate, ends, now)) is not None:
        findings.append(finding)
    return facts, findings


def _of_end(
    uri: Uri, certificate: MarkCertificate, ends: str, now: datetime | None
) -> Finding | None:
    if now is not None and certificate.not_after <= now:
        return EXPIRED.at(uri, not_after=ends)
    if severity := expires_soon(ends, now):
        return EXPIRING.at(uri, severity=severity, not_after=ends)
    return None
