"""The bimi check: the record, its logo, and whether DMARC allows it to be shown."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from app.checks.bimi import bimi
from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Usage, Verdict
from app.ports.http import Page
from app.protocols.names import DomainName
from tests.support.logotypes import logotype
from tests.support.mark_certificates import CERTIFIED, FORGER, NOW, certificate
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

DOMAIN, SUB = DomainName("example.org"), DomainName("sub.example.org")
SUBJECT = Subject(DOMAIN)
NAME = "default._bimi.example.org"
LOGO = ("example.org", "/logo.svg")
URL = "https://example.org/logo.svg"
RECORD = f"v=BIMI1; l={URL}; a=https://example.org/vmc.pem"
REJECT: dict[Any, Any] = {"_dmarc.example.org": ["v=DMARC1; p=reject"]}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    'viewBox="0 0 64 64"><title>Example</title><circle cx="32" cy="32" r="30"/></svg>'
)


def page(body: str, content_type: str = "image/svg+xml") -> Page:
    """The logo file that the server returns."""
    return Page(url=URL, status=200, content_type=content_type, body=body.encode())


GOOD = page(SVG)
VMC = ("example.org", "/vmc.pem")


CERTIFICATES: list[tuple[Page, list[str]]] = [
    (CERTIFIED, []),
    (certificate("DEFAULT._bimi.example.org", "other.example"), []),
    (certificate("other.example"), ["bimi.vmc_domain_mismatch"]),
    (certificate("example.org", days=20), ["bimi.vmc_expiring"]),
    (certificate("example.org", days=-1), ["bimi.vmc_expired"]),
    (certificate("example.org", use="1.3.6.1.5.5.7.3.1"), ["bimi.vmc_invalid"]),
    (certificate(is_named=False), ["bimi.vmc_invalid"]),
    (
        Page("", 200, body=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ["bimi.vmc_invalid"],
    ),
    (Page("", 200, body=b""), ["bimi.vmc_invalid"]),
    (certificate("example.org", has_chain=False), ["bimi.vmc_chain_broken"]),
    (certificate("example.org", signer=FORGER), ["bimi.vmc_chain_broken"]),
    (certificate("example.org", logotype=logotype(SVG.encode())), []),
    (certificate("example.org", logotype=logotype(b"<svg/>")), ["bimi.vmc_logo_hash_mismatch"]),
    (certificate("example.org", logotype=b"\x30\x05"), []),  # nothing to compare
    (Page("", 404), ["bimi.vmc_unreachable"]),
    (Page("", failure="refused_address"), ["bimi.vmc_unreachable"]),
]
RECORDS: list[tuple[list[str], list[str]]] = [
    ([], ["bimi.missing"]),
    (["something else"], ["bimi.missing"]),
    ([RECORD], []),
    ([RECORD, "something else"], []),
    ([RECORD, RECORD], ["bimi.multiple_records"]),
    (["v=bimi1; l="], ["bimi.syntax_error"]),
    (["v=BIMI1; a="], ["bimi.syntax_error"]),
    (["v=BIMI1; l=http://example.org/logo.svg"], ["bimi.syntax_error"]),
    (["v=BIMI1; l=; a="], ["bimi.declined"]),
    ([f"v=BIMI1; l={URL}"], ["bimi.vmc_missing"]),
    (["v=BIMI1; l=; a=https://example.org/vmc.pem"], []),
    (
        ["v=BIMI1; l=https://example.org:8443/logo.svg; a=https://example.org/vmc.pem"],
        ["bimi.logo_unreachable"],
    ),
]
LOGOS = [
    (GOOD, []),
    (page(SVG, "image/svg+xml; charset=utf-8"), []),
    (page(SVG, "text/xml"), ["bimi.content_type"]),
    (page(SVG.replace("0 0 64 64", "0 0 64 32")), ["bimi.logo_not_square"]),
    (page(SVG.replace("tiny-ps", "full")), ["bimi.logo_not_tiny_ps"]),
    (page("<html>"), ["bimi.logo_not_tiny_ps"]),
    (Page(URL, 404), ["bimi.logo_unreachable"]),
    (Page(URL, failure="no_address"), ["bimi.logo_unreachable"]),
    (Page(URL, failure="tls", detail="certificate has expired"), ["bimi.logo_unreachable"]),
]
POLICIES = [
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=reject"]}, True),
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=quarantine"]}, True),
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=none"]}, False),
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=reject; sp=none"]}, False),
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=quarantine; t=y"]}, False),
    (DOMAIN, {"_dmarc.example.org": ["v=DMARC1; p=bad"]}, False),
    (DOMAIN, {}, False),
    (SUB, {"_dmarc.example.org": ["v=DMARC1; p=reject"]}, True),
    (SUB, {"_dmarc.example.org": ["v=DMARC1; p=reject; sp=none"]}, False),
    (
        SUB,
        {
            "_dmarc.example.org": ["v=DMARC1; p=none"],
            "_dmarc.sub.example.org": ["v=DMARC1; p=reject"],
        },
        False,
    ),
]


async def codes(
    texts: list[str], logo: Page, data: dict[Any, Any] = REJECT, vmc: Page = CERTIFIED
) -> list[str]:
    """The codes of the findings, in order."""
    zone = Zone(data | {NAME: texts}, {LOGO: logo, VMC: vmc})
    subject = replace(SUBJECT, now=NOW)
    return [finding.kind.code for finding in (await bimi.run(subject, zone)).findings]


@pytest.mark.parametrize(("vmc", "expected"), CERTIFICATES)
async def test_certificate_must_be_acceptable_to_receivers(vmc: Page, expected: list[str]) -> None:
    assert await codes([RECORD], GOOD, vmc=vmc) == expected


async def test_without_current_time_expiry_is_not_reported() -> None:
    zone = Zone(REJECT | {NAME: [RECORD]}, {LOGO: GOOD, VMC: certificate("example.org", days=-1)})
    assert (await bimi.run(SUBJECT, zone)).findings == ()


@pytest.mark.parametrize(("texts", "expected"), RECORDS)
async def test_record_is_parsed_as_receivers_do(texts: list[str], expected: list[str]) -> None:
    assert await codes(texts, GOOD) == expected


@pytest.mark.parametrize(("logo", "expected"), LOGOS)
async def test_logo_must_be_displayable(logo: Page, expected: list[str]) -> None:
    assert await codes([RECORD], logo) == expected


@pytest.mark.parametrize(("domain", "data", "is_enforced"), POLICIES)
async def test_logo_needs_enforced_policy_of_domain_and_organization(
    domain: DomainName, data: dict[Any, Any], is_enforced: bool
) -> None:
    zone = Zone({NAME: [RECORD], ("sub.example.org", "A"): []} | data, {LOGO: GOOD, VMC: CERTIFIED})
    outcome = await bimi.run(Subject(domain), zone)
    assert outcome.facts["dmarc_enforced"] is is_enforced
    expected = [] if is_enforced else ["bimi.dmarc_not_enforced"]
    assert [finding.kind.code for finding in outcome.findings] == expected


GOOD_RECORD = f"v=BIMI1; l={URL}; a=https://example.org/vmc.pem"
NO_CERTIFICATE = f"v=BIMI1; l={URL}"
REPAIRS = [
    (GOOD_RECORD.replace(";", ","), GOOD_RECORD),
    (GOOD_RECORD.replace(";", ""), GOOD_RECORD),
    (GOOD_RECORD.replace("; ", ": "), GOOD_RECORD),
    (GOOD_RECORD.replace(";", r"\;"), GOOD_RECORD),
    (f'"{GOOD_RECORD}"', GOOD_RECORD),
    (GOOD_RECORD.replace("v=BIMI1; ", ""), None),  # nothing says that it is a BIMI record
    (GOOD_RECORD.replace("v=", ""), GOOD_RECORD),
    (GOOD_RECORD.replace("v=BIMI1", "V=bimi1"), GOOD_RECORD),
    (GOOD_RECORD.replace("l=", "L=").replace("a=", "A="), GOOD_RECORD),
    (GOOD_RECORD.replace("l=", "l:").replace("a=", "a:"), GOOD_RECORD),
    (GOOD_RECORD.replace("l=", "l = <").replace(".svg", ".svg>"), GOOD_RECORD),
    (GOOD_RECORD.replace("l=https://", "l="), GOOD_RECORD),
    (GOOD_RECORD.replace("l=https://", "l=https:/"), GOOD_RECORD),
    (f"v=BIMI1; l={URL}; l={URL}", NO_CERTIFICATE),
    (f"v=BIMI1; l={URL}; l=https://example.org/other.svg", None),
    (f"v=BIMI1 l={URL}; avp=brands", f"v=BIMI1; l={URL}; avp=brand"),
    (f"v=BIMI1; l={URL}; junk", None),
    (GOOD_RECORD.replace("l=https:", "l=http:"), None),
    (GOOD_RECORD.replace("l=https:", "l=ftp:"), None),
    ("v=BIMI1; a=https://example.org/vmc.pem", None),
    ("v=BIMI1;", None),
    ("v=BIMI1, l=https://elsewhere.example/logo.svg", None),  # it cannot be fetched
]


@pytest.mark.parametrize(("text", "after"), REPAIRS)
async def test_evident_mistakes_have_a_fix_and_others_a_reason(
    text: str, after: str | None
) -> None:
    pages = {LOGO: GOOD, VMC: CERTIFIED}
    zone: dict[Any, Any] = {"_dmarc.example.org": ["v=DMARC1; p=none"], NAME: [text]}
    result = await run_check(bimi, replace(SUBJECT, now=NOW), Zone(zone, pages))
    first = result.findings[0]
    assert first.kind.code in ("bimi.syntax_error", "bimi.missing")
    assert (first.fix.after if first.fix else None) == after
    assert first.fix or first.kind.code == "bimi.missing" or first.evidence["reason"]
    if after:
        fixed = await run_check(
            bimi, replace(SUBJECT, now=NOW), Zone(zone | {NAME: [after]}, pages)
        )
        codes = {finding.kind.code for finding in fixed.findings}
        assert codes <= {"bimi.dmarc_not_enforced", "bimi.vmc_missing"}


@pytest.mark.parametrize(
    ("texts", "after"),
    [
        ([RECORD, RECORD], RECORD),
        ([RECORD, f"{RECORD};"], RECORD),
        ([RECORD, NO_CERTIFICATE], None),
        ([RECORD, "v=BIMI1; l=http://example.org/logo.svg"], None),
    ],
)
async def test_several_records_are_merged_only_if_they_mean_the_same(
    texts: list[str], after: str | None
) -> None:
    zone = Zone(REJECT | {NAME: texts}, {LOGO: GOOD, VMC: CERTIFIED})
    result = await run_check(bimi, replace(SUBJECT, now=NOW), zone)
    [finding] = result.findings
    assert (finding.fix.after if finding.fix else None) == after


async def test_every_declared_code_can_occur() -> None:
    occurring = {code for texts, _ in RECORDS for code in await codes(texts, GOOD)}
    for logo, _ in LOGOS:
        occurring.update(await codes([RECORD], logo))
    occurring.update(await codes([RECORD], GOOD, {}))
    for vmc, _ in CERTIFICATES:
        occurring.update(await codes([RECORD], GOOD, vmc=vmc))
    assert occurring == {kind.code for kind in bimi.finds} - {"bimi.cname_conflict"}


@pytest.mark.parametrize("usage", list(Usage))
async def test_missing_logo_is_info(usage: Usage) -> None:
    outcome = await bimi.run(Subject(DOMAIN, usage), Zone(REJECT))
    assert outcome.verdict is Verdict.INFO


async def test_subdomain_uses_logo_of_its_organization() -> None:
    zone = Zone(
        REJECT | {NAME: [RECORD], ("sub.example.org", "A"): []}, {LOGO: GOOD, VMC: CERTIFIED}
    )
    facts = (await bimi.run(Subject(SUB), zone)).facts
    assert facts == {
        "record": True,
        "record_valid": True,
        "record_at": "example.org",
        "logo": URL,
        "authority": "https://example.org/vmc.pem",
        "declined": False,
        "dmarc_enforced": True,
        "authority_names": ["example.org"],
        "authority_not_after": "2026-10-28T00:00:00.000Z",
    }


async def test_which_of_several_records_to_keep_is_not_guessed() -> None:
    other = "v=BIMI1; l=https://example.org/other.svg"
    for texts in ([RECORD, other], [other, RECORD]):
        outcome = await bimi.run(SUBJECT, Zone({NAME: texts}))
        [finding] = [item for item in outcome.findings if item.kind.code == "bimi.multiple_records"]
        assert finding.fix is None
        assert finding.evidence["records"] == sorted(texts)


@pytest.mark.parametrize(
    ("data", "logo"),
    [
        ({NAME: SERVFAIL}, GOOD),
        ({NAME: TIMEOUT}, GOOD),
        ({"_dmarc.example.org": SERVFAIL}, GOOD),
        ({}, TIMEOUT),
    ],
)
async def test_failed_query_is_undetermined(data: dict[Any, Any], logo: Any) -> None:
    check_result = await run_check(
        bimi, SUBJECT, Zone(REJECT | {NAME: [RECORD]} | data, {LOGO: logo})
    )
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_unavailable_logo_is_not_compared() -> None:
    vmc = certificate("example.org", logotype=logotype(b"<svg/>"))
    assert await codes([RECORD], Page(URL, 404), vmc=vmc) == ["bimi.logo_unreachable"]


@pytest.mark.parametrize("at", [0x0B, 0x0C, 0x30, 0x40])
async def test_damaged_certificate_is_a_finding(at: int) -> None:
    """The damage includes the version and the name of the issuer."""
    (pem, _) = CERTIFIED.body.split(b"-----END", 1)
    octets = bytearray(base64.b64decode(pem.partition(b"\n")[2]))
    octets[at] ^= 0x55
    body = base64.encodebytes(octets)
    damaged = b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"
    result_codes = await codes([RECORD], GOOD, vmc=Page("", 200, body=damaged))
    assert result_codes in (["bimi.vmc_invalid"], ["bimi.vmc_chain_broken"])


async def test_all_problems_of_a_record_are_reported_at_once() -> None:
    record = "v=BIMI1; l=http://example.org/a.svg; a=ftp://example.org/a.pem; stray; avp=x; avp=y"
    (finding,) = (await bimi.run(SUBJECT, Zone(REJECT | {NAME: [record]}))).findings
    for part in ("stray", "avp", "l: only https", "a: only https"):
        assert part in finding.evidence["reason"]
