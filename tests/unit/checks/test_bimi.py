"""The bimi check: the record, its logo, and whether DMARC lets it be shown."""

from typing import Any

import pytest

from app.checks.answers import Page
from app.checks.bimi import bimi
from app.checks.contract import Subject, Usage, Verdict, judge
from app.protocols.names import DomainName
from tests.zones import SERVFAIL, TIMEOUT, Zone

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
    """A logo as it is served."""
    return Page(URL, 200, content_type, body.encode())


GOOD = page(SVG)
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


async def codes(texts: list[str], logo: Page, data: dict[Any, Any] = REJECT) -> list[str]:
    """The codes of what is found, in order."""
    zone = Zone(data | {NAME: texts}, {LOGO: logo})
    return [found.kind.code for found in (await bimi.run(SUBJECT, zone)).findings]


@pytest.mark.parametrize(("texts", "expected"), RECORDS)
async def test_a_record_is_read_as_receivers_read_it(texts: list[str], expected: list[str]) -> None:
    assert await codes(texts, GOOD) == expected


@pytest.mark.parametrize(("logo", "expected"), LOGOS)
async def test_the_logo_must_be_one_that_can_be_shown(logo: Page, expected: list[str]) -> None:
    assert await codes([RECORD], logo) == expected


@pytest.mark.parametrize(("domain", "data", "is_enforced"), POLICIES)
async def test_a_logo_needs_an_enforced_policy_of_the_domain_and_of_its_organization(
    domain: DomainName, data: dict[Any, Any], is_enforced: bool
) -> None:
    zone = Zone({NAME: [RECORD], ("sub.example.org", "A"): []} | data, {LOGO: GOOD})
    outcome = await bimi.run(Subject(domain), zone)
    assert outcome.facts["dmarc_enforced"] is is_enforced
    expected = [] if is_enforced else ["bimi.dmarc_not_enforced"]
    assert [found.kind.code for found in outcome.findings] == expected


async def test_every_code_that_is_declared_can_be_found() -> None:
    seen = {code for texts, _ in RECORDS for code in await codes(texts, GOOD)}
    for logo, _ in LOGOS:
        seen.update(await codes([RECORD], logo))
    seen.update(await codes([RECORD], GOOD, {}))
    assert seen == {kind.code for kind in bimi.finds}


@pytest.mark.parametrize("usage", list(Usage))
async def test_a_logo_is_nobodys_duty(usage: Usage) -> None:
    outcome = await bimi.run(Subject(DOMAIN, usage), Zone(REJECT))
    assert outcome.verdict is Verdict.INFO


async def test_a_sub_domain_shows_the_logo_of_its_organization() -> None:
    zone = Zone(REJECT | {NAME: [RECORD], ("sub.example.org", "A"): []}, {LOGO: GOOD})
    facts = (await bimi.run(Subject(SUB), zone)).facts
    assert facts == {
        "record": True,
        "record_valid": True,
        "record_at": "example.org",
        "logo": URL,
        "authority": "https://example.org/vmc.pem",
        "declined": False,
        "dmarc_enforced": True,
    }


async def test_of_several_records_one_is_to_be_kept() -> None:
    other = "v=BIMI1; l=; a="
    (found,) = (await bimi.run(SUBJECT, Zone(REJECT | {NAME: [RECORD, other]}))).findings
    assert found.fix is not None
    assert (found.fix.action, found.fix.name, found.fix.type) == ("replace", NAME, "TXT")
    assert (found.fix.before, found.fix.after) == (f"{RECORD}\n{other}", RECORD)


@pytest.mark.parametrize(
    ("data", "logo"),
    [
        ({NAME: SERVFAIL}, GOOD),
        ({NAME: TIMEOUT}, GOOD),
        ({"_dmarc.example.org": SERVFAIL}, GOOD),
        ({}, TIMEOUT),
    ],
)
async def test_says_nothing_when_something_cannot_be_asked(data: dict[Any, Any], logo: Any) -> None:
    judgement = await judge(bimi, SUBJECT, Zone(REJECT | {NAME: [RECORD]} | data, {LOGO: logo}))
    assert judgement.verdict is Verdict.UNDETERMINED
    assert not judgement.findings
