"""The mta_sts check: the record, the policy behind it, and the MX hosts that it covers."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Usage, Verdict
from app.checks.transport.dane import dane
from app.checks.transport.mta_sts import PATH, mta_sts
from app.ports.dns import Tlsa
from app.ports.http import Page
from app.ports.smtp import TlsProbe
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

DOMAIN = DomainName("example.org")
SUBJECT = Subject(DOMAIN)
NAME = "_mta-sts.example.org"
HOST = ("mta-sts.example.org", PATH)
URL = f"https://{HOST[0]}{PATH}"
MX: dict[Any, Any] = {("example.org", "MX"): ["10 mx1.example.org", "20 mx1.example.org"]}
RECORD = "v=STSv1; id=20260101"
POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.org\r\nmax_age: 1209600\r\n"
TESTING = POLICY.replace("enforce", "testing")

RECORDS = [
    ([], Usage.BOTH, ["mta_sts.missing"]),
    ([], Usage.RECEIVES, ["mta_sts.missing"]),
    ([], Usage.SENDS, []),
    ([], Usage.PARKED, []),
    (["something else"], Usage.BOTH, ["mta_sts.missing"]),
    ([RECORD], Usage.BOTH, []),
    ([RECORD, "something else"], Usage.BOTH, []),
    ([RECORD, "v=STSv1; id=2"], Usage.BOTH, ["mta_sts.multiple_records"]),
    (["v=STSv1"], Usage.BOTH, ["mta_sts.record_syntax"]),
    (["V=STSv1; id=1"], Usage.PARKED, ["mta_sts.record_syntax"]),
    (["v=STSv1; id=1; nonsense"], Usage.BOTH, ["mta_sts.record_syntax"]),
    (["v=STSv1;"], Usage.BOTH, ["mta_sts.record_syntax"]),
    (["v=STSv1; id=2026-01-01"], Usage.BOTH, ["mta_sts.id_invalid"]),
]
POLICIES = [
    (POLICY, []),
    (POLICY.replace("\r\n", "\n"), []),
    (TESTING, ["mta_sts.mode_testing"]),
    ("version: STSv1\nmode: none\nmax_age: 86400\n", ["mta_sts.mode_none"]),
    (POLICY.replace("1209600", "604799"), ["mta_sts.max_age_short"]),
    (POLICY.replace("1209600", "604800"), []),
    (POLICY.replace("1209600", "31557601"), ["mta_sts.max_age_too_long"]),
    (POLICY.replace("\r\n", "\r"), ["mta_sts.policy_line_endings"]),
    (POLICY.replace("version: STSv1", "version: 1"), ["mta_sts.policy_version"]),
    (POLICY.replace("mx: mx1.example.org\r\n", ""), ["mta_sts.mx_missing_in_policy"]),
    (POLICY.replace("mx1.", "mx2."), ["mta_sts.policy_mismatch"]),
    (TESTING.replace("mx1.", "mx2."), ["mta_sts.mode_testing", "mta_sts.policy_mismatch"]),
    (POLICY.replace("enforce", "strict"), ["mta_sts.policy_syntax"]),
    (POLICY.replace("1209600", "soon"), ["mta_sts.policy_syntax"]),
    (POLICY.replace("mx1.example.org", "<mx1>"), ["mta_sts.policy_syntax"]),
    ("<html>", ["mta_sts.policy_syntax"]),
]
PAGES = [
    (Page(URL, 404), "mta_sts.policy_unreachable", "HTTP status 404"),
    (Page(URL, failure="no_address"), "mta_sts.policy_unreachable", "the host has no address"),
    (
        Page(URL, failure="refused_address", detail="10.0.0.1 is not a public address"),
        "mta_sts.policy_unreachable",
        "10.0.0.1 is not a public address",
    ),
    (Page(URL, 301, failure="redirect"), "mta_sts.policy_redirected", "HTTP status 301"),
    (
        Page(URL, failure="tls", detail="certificate has expired"),
        "mta_sts.policy_tls_failed",
        "certificate has expired",
    ),
    (
        Page(URL, 200, failure="too_large"),
        "mta_sts.policy_too_large",
        "the policy is larger than 64 KiB",
    ),
    (
        Page(url=URL, status=200, content_type="text/plain", body=b"#" * 70_000),
        "mta_sts.policy_too_large",
        "the policy is larger than 64 KiB",
    ),
]
HTML = Page(url=URL, status=200, content_type="text/html", body=POLICY.encode())
KNOWN = Subject(
    DOMAIN,
    last_facts={
        "mta_sts": {"id": "20260101", "policy_sha256": "of another file", "mode": "enforce"}
    },
)


def zone(texts: list[str], page: Page) -> Zone:
    """A zone with these TXT values that serves this page."""
    return Zone(MX | {NAME: texts}, {HOST: page})


def text(policy: str) -> Page:
    """The policy, served correctly."""
    return Page(url=URL, status=200, content_type="text/plain; charset=utf-8", body=policy.encode())


async def codes(subject: Subject, texts: list[str], page: Page) -> list[str]:
    """The codes of the findings, in order."""
    return [
        finding.kind.code for finding in (await mta_sts.run(subject, zone(texts, page))).findings
    ]


@pytest.mark.parametrize(("texts", "usage", "expected"), RECORDS)
async def test_record_is_parsed_as_senders_do(
    texts: list[str], usage: Usage, expected: list[str]
) -> None:
    assert await codes(Subject(DOMAIN, usage), texts, text(POLICY)) == expected


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
async def test_policy_is_parsed_as_senders_do(policy: str, expected: list[str]) -> None:
    assert await codes(SUBJECT, [RECORD], text(policy)) == expected


@pytest.mark.parametrize(("page", "expected", "reason"), PAGES)
async def test_unavailable_policy_is_a_finding(page: Page, expected: str, reason: str) -> None:
    outcome = await mta_sts.run(SUBJECT, zone([RECORD], page))
    (finding,) = outcome.findings
    assert (finding.kind.code, finding.severity) == (expected, Severity.HIGH)
    assert finding.evidence["reason"] == reason
    assert outcome.facts["policy_valid"] is False


async def test_policy_must_be_served_as_plain_text() -> None:
    assert await codes(SUBJECT, [RECORD], HTML) == ["mta_sts.policy_content_type"]


async def test_changed_policy_needs_new_id() -> None:
    expected = ["mta_sts.policy_changed_id_unchanged"]
    assert await codes(KNOWN, [RECORD], text(POLICY)) == expected
    assert await codes(KNOWN, ["v=STSv1; id=20260102"], text(POLICY)) == []


BROKEN = replace(
    SUBJECT, tls_probes={"mx1.example.org": TlsProbe("mx1.example.org", True, problem="expired")}
)
ENDING = replace(text(POLICY), not_after="2026-01-20T00:00:00Z")
TODAY = replace(SUBJECT, now=datetime(2026, 1, 1, tzinfo=UTC))


async def test_enforced_policy_needs_trusted_mail_hosts() -> None:
    expected = ["mta_sts.mx_cert_invalid_under_enforce"]
    assert await codes(BROKEN, [RECORD], text(POLICY)) == expected
    assert await codes(BROKEN, [RECORD], text(TESTING)) == ["mta_sts.mode_testing"]


async def test_certificate_expiry_is_reported_in_time() -> None:
    assert await codes(TODAY, [RECORD], ENDING) == ["mta_sts.policy_cert_expiring"]
    assert await codes(SUBJECT, [RECORD], ENDING) == []


TLSA = ("_25._tcp.mx1.example.org", "TLSA")
ARMED: dict[Any, Any] = MX | {
    NAME: [RECORD],
    ("mx1.example.org", "A"): ["192.0.2.1"],
    TLSA: [Tlsa(usage=3, selector=1, matching=1, data="ab" * 32)],
}
CONFLICT = "mta_sts.conflicts_with_dane"


async def dane_conflict(
    policy: str, data: dict[Any, Any], known: Subject = SUBJECT, *, signed: bool = True
) -> list[str]:
    """The hosts in the finding about DANE next to MTA-STS; empty without the finding."""
    outcome = await mta_sts.run(
        known, Zone(ARMED | data, {HOST: text(policy)}, authenticated=signed)
    )
    findings = [finding for finding in outcome.findings if finding.kind.code == CONFLICT]
    assert [finding.evidence["hosts"] for finding in findings] == [
        outcome.facts["dane_hosts"]
    ] * len(findings)
    assert all(finding.severity is Severity.INFO for finding in findings)
    return [host for finding in findings for host in finding.evidence["hosts"]]


async def test_policy_with_tlsa_records_is_reported() -> None:
    assert await dane_conflict(POLICY, {}) == ["mx1.example.org"]
    assert await dane_conflict(TESTING, {}) == ["mx1.example.org"]
    assert await dane_conflict("version: STSv1\nmode: none\nmax_age: 86400\n", {}) == []


@pytest.mark.parametrize(
    "tlsa",
    [
        [],
        [Tlsa(usage=1, selector=1, matching=1, data="ab" * 32)],
        [Tlsa(usage=3, selector=1, matching=1, data="ab")],
    ],
)
async def test_unusable_tlsa_records_are_not_reported(tlsa: list[Tlsa]) -> None:
    assert await dane_conflict(POLICY, {TLSA: tlsa}) == []


async def test_unsigned_tlsa_records_are_not_reported() -> None:
    assert await dane_conflict(POLICY, {}, signed=False) == []


async def test_failed_tlsa_lookup_keeps_previous_result() -> None:
    unavailable = {TLSA: TIMEOUT}
    assert await dane_conflict(POLICY, unavailable) == []
    before = replace(SUBJECT, last_facts={"mta_sts": {"dane_hosts": ["mx1.example.org"]}})
    assert await dane_conflict(POLICY, unavailable, before) == ["mx1.example.org"]
    assert await dane_conflict(POLICY, {TLSA: []}, before) == []


@pytest.mark.parametrize("hosts", [["10 mx1.example.org"], ["10 example.org"], ["0 ."], []])
async def test_sends_the_same_queries_as_the_dane_check(hosts: list[str]) -> None:
    data = ARMED | {("example.org", "MX"): hosts}
    zone = Zone(data, {HOST: text(POLICY)}, authenticated=True)
    await dane.run(SUBJECT, zone)
    queried = set(zone.asked)
    await mta_sts.run(SUBJECT, zone)
    own = {(NAME, "TXT"), (NAME, "CNAME"), (URL, "HTTPS")}
    host = {("mta-sts.example.org", "A"), ("mta-sts.example.org", "AAAA")}
    assert set(zone.asked) - queried == own | host


async def test_every_declared_code_can_occur() -> None:
    occurring = set(
        await codes(SUBJECT, [RECORD], HTML) + await codes(KNOWN, [RECORD], text(POLICY))
    )
    occurring.update(
        await codes(BROKEN, [RECORD], text(POLICY)), await codes(TODAY, [RECORD], ENDING)
    )
    for texts, usage, _ in RECORDS:
        occurring.update(await codes(Subject(DOMAIN, usage), texts, text(POLICY)))
    for page in (*(text(policy) for policy, _ in POLICIES), *(page for page, *_ in PAGES)):
        occurring.update(await codes(SUBJECT, [RECORD], page))
    armed = Zone(ARMED, {HOST: text(POLICY)}, authenticated=True)
    occurring.update(finding.kind.code for finding in (await mta_sts.run(SUBJECT, armed)).findings)
    assert occurring == {kind.code for kind in mta_sts.finds} - {"mta_sts.cname_conflict"}


@pytest.mark.parametrize("page", [Page(URL, 404), text("<html>")])
async def test_loss_of_enforced_policy_is_critical(page: Page) -> None:
    (finding,) = (await mta_sts.run(KNOWN, zone([RECORD], page))).findings
    assert finding.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("policy", "severity"), [(POLICY, Severity.CRITICAL), (TESTING, Severity.MEDIUM)]
)
async def test_severity_of_uncovered_host_depends_on_mode(policy: str, severity: Severity) -> None:
    page = text(policy.replace("mx1.", "*.mail."))
    *_, finding = (await mta_sts.run(SUBJECT, zone([RECORD], page))).findings
    assert (finding.subject, finding.severity) == ("mx1.example.org", severity)
    assert finding.evidence == {
        "policy": URL,
        "patterns": ["*.mail.example.org"],
        "line": "mx: mx1.example.org",
    }


async def test_without_mx_the_domain_itself_must_be_covered() -> None:
    page = text(POLICY.replace("mx1.example.org", "example.org"))
    assert (await mta_sts.run(SUBJECT, Zone({NAME: [RECORD]}, {HOST: page}))).findings == ()


async def test_null_mx_needs_no_coverage() -> None:
    data: dict[Any, Any] = {NAME: [RECORD], ("example.org", "MX"): ["0 ."]}
    assert (await mta_sts.run(SUBJECT, Zone(data, {HOST: text(POLICY)}))).findings == ()


async def test_facts_contain_policy_values() -> None:
    page = Page(
        url=URL,
        status=200,
        content_type="text/plain",
        body=POLICY.encode(),
        not_after="2027-01-01T00:00:00Z",
    )
    assert (await mta_sts.run(SUBJECT, zone([RECORD], page))).facts == {
        "record": True,
        "record_valid": True,
        "id": "20260101",
        "certificate_not_after": "2027-01-01T00:00:00Z",
        "policy_valid": True,
        "mode": "enforce",
        "max_age": 1209600,
        "mx": ["mx1.example.org"],
        "mx_uncovered": [],
        "policy_sha256": hashlib.sha256(POLICY.encode()).hexdigest(),
        "dane_hosts": [],
    }


@pytest.mark.parametrize("texts", [[], ["v=STSv1"]])
async def test_missing_record_or_id_gets_no_fix(texts: list[str]) -> None:
    (finding,) = (await mta_sts.run(SUBJECT, zone(texts, text(POLICY)))).findings
    assert finding.fix is None


@pytest.mark.parametrize(
    ("texts", "action", "after"),
    [
        (["v=STSv1; id=2", RECORD], "replace", RECORD),
        (["v=stsv1; id=7"], "replace", "v=STSv1; id=7;"),
        (["v=STSv1: id = 2026-01"], "replace", "v=STSv1; id=202601;"),
    ],
)
async def test_fix_contains_exact_record(texts: list[str], action: str, after: str) -> None:
    (finding,) = (await mta_sts.run(SUBJECT, zone(texts, text(POLICY)))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name, finding.fix.type) == (action, NAME, "TXT")
    assert (finding.fix.before, finding.fix.after) == ("\n".join(texts) or None, after)


@pytest.mark.parametrize(
    ("data", "page"),
    [
        ({NAME: SERVFAIL}, text(POLICY)),
        ({NAME: TIMEOUT}, text(POLICY)),
        ({("example.org", "MX"): SERVFAIL}, text(POLICY)),
        ({}, TIMEOUT),
    ],
)
async def test_failed_query_is_undetermined(data: dict[Any, Any], page: Any) -> None:
    check_result = await run_check(
        mta_sts, SUBJECT, Zone(MX | {NAME: [RECORD]} | data, {HOST: page})
    )
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings
