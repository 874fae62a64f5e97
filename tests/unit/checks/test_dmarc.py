"""The dmarc check: which record applies, its policy, and where its reports go."""

from typing import Any

import pytest

from app.checks.dmarc import dmarc, observed
from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Usage, Verdict
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

DOMAIN = DomainName("example.org")
SUB = DomainName("sub.example.org")
SUBJECT = Subject(DOMAIN)
NAME, SUB_NAME = "_dmarc.example.org", "_dmarc.sub.example.org"
RUA = "rua=mailto:d@example.org"
WHOLE = f"sp=reject; np=reject; {RUA}"
HOSTS: dict[Any, Any] = {
    ("example.org", "MX"): ["10 mx.example.org"],
    ("reports.example", "MX"): ["10 mx.reports.example"],
    ("silent.example", "MX"): ["0 ."],
    "example.org._report._dmarc.reports.example": ["v=DMARC1"],
    "example.org._report._dmarc.silent.example": ["v=DMARC1"],
}
DUPLICATE = "dmarc.duplicate_tag"

RECORDS: list[tuple[str, list[str]]] = [
    (f"v=DMARC1; p=reject; {WHOLE}", []),
    (f"v=DMARC1; p=none; {WHOLE}", ["dmarc.policy_none"]),
    (f"v=DMARC1; p=quarantine; {WHOLE}", ["dmarc.policy_quarantine"]),
    (f"v=DMARC1; {RUA}", ["dmarc.policy_missing_p"]),
    (f"v=DMARC1; p=rejct; {WHOLE}", ["dmarc.policy_invalid"]),
    ("v=DMARC1; p=rejct", ["dmarc.not_processed", "dmarc.policy_invalid", "dmarc.rua_missing"]),
    (f"v=DMARC1; p=reject; sp=none; np=reject; {RUA}", ["dmarc.subdomain_policy_weaker"]),
    (f"v=DMARC1; p=reject; np=reject; {RUA}", ["dmarc.subdomain_policy_missing"]),
    (f"v=DMARC1; p=reject; sp=reject; {RUA}", ["dmarc.np_missing"]),
    (f"v=DMARC1; p=reject; sp=reject; np=none; {RUA}", ["dmarc.np_weaker"]),
    (f"v=DMARC1; p=reject; psd=y; {WHOLE}", ["dmarc.psd_unexpected"]),
    (f"v=DMARC1; p=reject; psd=n; {WHOLE}", []),
    (f"v=DMARC1; p=reject; t=y; {WHOLE}", ["dmarc.policy_quarantine", "dmarc.testing_mode"]),
    (f"v=DMARC1; p=reject; pct=50; {WHOLE}", ["dmarc.removed_tag_pct", "dmarc.pct_below_100"]),
    (f"v=DMARC1; p=reject; rf=afrf; {WHOLE}", ["dmarc.removed_tag_rf"]),
    (f"v=DMARC1; p=reject; ri=86400; {WHOLE}", ["dmarc.removed_tag_ri"]),
    (f"v=DMARC1; p=reject; x=y; {WHOLE}", ["dmarc.unknown_tag"]),
    (f"v=DMARC1; p=reject; p=none; {WHOLE}", [DUPLICATE]),
    (f"v=DMARC1; p=reject; foo; foo; {WHOLE}", ["dmarc.malformed_tag"]),
    (
        f"v=DMARC1; p=reject; {WHOLE}; ruf=mailto:f@example.org; fo=7",
        ["dmarc.fo_invalid", "dmarc.ruf_present_privacy"],
    ),
    (f"v=DMARC1; p=reject; aspf=q; {WHOLE}", ["dmarc.alignment_invalid"]),
    (f"v=DMARC1; p=reject; adkim=s; {WHOLE}", ["dmarc.alignment_strict_risk"]),
    (f"v=DMARC1; p=reject; t=maybe; {WHOLE}", ["dmarc.tag_invalid"]),
    (
        f"v=DMARC1; p=reject; {WHOLE}; " + "x" * 450 + "=y",
        ["dmarc.record_too_long", "dmarc.unknown_tag"],
    ),
    ("v=DMARC1; p=reject; sp=reject; np=reject", ["dmarc.rua_missing"]),
    (f"v=DMARC1; p=reject; {WHOLE},d@example.org", ["dmarc.rua_invalid_uri"]),
    (f"v=DMARC1; p=reject; {WHOLE},mailto:d@example.org", ["dmarc.rua_duplicate"]),
    (
        f"v=DMARC1; p=reject; {WHOLE},mailto:e@example.org,mailto:f@example.org",
        ["dmarc.rua_too_many"],
    ),
    (f"v=DMARC1; p=reject; {WHOLE}!10m", ["dmarc.size_suffix_obsolete"]),
    (f"v=DMARC1; p=reject; {WHOLE},mailto:d@reports.example", []),
    (f"v=DMARC1; p=reject; {WHOLE},mailto:d@other.example", ["dmarc.rua_external_unauthorized"]),
    (f"v=DMARC1; p=reject; {WHOLE},mailto:d@silent.example", ["dmarc.rua_mailbox_no_mx"]),
]
PLACES: list[tuple[DomainName, dict[Any, Any], list[str]]] = [
    (DOMAIN, {}, ["dmarc.missing"]),
    (DOMAIN, {NAME: ["something else"]}, ["dmarc.unrelated_txt", "dmarc.missing"]),
    (DOMAIN, {DOMAIN: ["v=DMARC1; p=reject"]}, ["dmarc.missing", "dmarc.wrong_location"]),
    (DOMAIN, {NAME: ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, ["dmarc.multiple_records"]),
    (DOMAIN, {NAME: ["v=dmarc1; p=reject", "v=dmarc1; p=none"]}, ["dmarc.syntax_error"]),
    (DOMAIN, {NAME: ["p=reject; v=DMARC1"]}, ["dmarc.version_not_first"]),
    (
        SUB,
        {NAME: [f"v=DMARC1; p=reject; sp=none; {RUA}"]},
        ["dmarc.inherited_from_org", "dmarc.policy_none"],
    ),
    (SUB, {NAME: [f"v=DMARC1; p=reject; {RUA}"]}, ["dmarc.inherited_from_org"]),
    (
        SUB,
        {NAME: [f"v=DMARC1; p=reject; {RUA}"], SUB_NAME: [f"v=DMARC1; p=reject; {WHOLE}"]},
        ["dmarc.sp_on_subdomain"],
    ),
    (
        SUB,
        {SUB_NAME: [f"v=DMARC1; p=reject; {WHOLE}"]},
        ["dmarc.org_domain_differs_psl_vs_treewalk", "dmarc.rua_external_unauthorized"],
    ),
    (
        DOMAIN,
        {"_dmarc.org": [f"v=DMARC1; p=reject; psd=y; {RUA}"]},
        ["dmarc.inherited_from_org", "dmarc.tld_record"],
    ),
]
SILENT = [
    (Usage.PARKED, f"v=DMARC1; p=reject; {WHOLE}", []),
    (
        Usage.RECEIVES,
        f"v=DMARC1; p=quarantine; {WHOLE}",
        ["dmarc.policy_quarantine", "dmarc.not_locked_down"],
    ),
    (Usage.PARKED, f"v=DMARC1; p=none; {WHOLE}", ["dmarc.policy_none", "dmarc.not_locked_down"]),
    (Usage.SENDS, f"v=DMARC1; p=quarantine; {WHOLE}", ["dmarc.policy_quarantine"]),
]


async def codes(subject: Subject, data: dict[Any, Any]) -> list[str]:
    """The codes of the findings, in order; no code twice for the same name."""
    outcome = await dmarc.run(subject, Zone(HOSTS | {("sub.example.org", "A"): []} | data))
    pairs = [(finding.kind.code, finding.subject) for finding in outcome.findings]
    assert len(set(pairs)) == len(pairs)
    return [code for code, _ in pairs]


@pytest.mark.parametrize(("record", "expected"), RECORDS)
async def test_record_is_parsed_as_receivers_do(record: str, expected: list[str]) -> None:
    assert sorted(await codes(SUBJECT, {NAME: [record]})) == sorted(expected)


@pytest.mark.parametrize(("domain", "data", "expected"), PLACES)
async def test_record_is_found_up_the_tree(
    domain: DomainName, data: dict[Any, Any], expected: list[str]
) -> None:
    assert await codes(Subject(domain), data) == expected


@pytest.mark.parametrize(("usage", "record", "expected"), SILENT)
async def test_domain_without_mail_should_reject_everything(
    usage: Usage, record: str, expected: list[str]
) -> None:
    assert await codes(Subject(DOMAIN, usage), {NAME: [record]}) == expected


async def test_every_declared_code_can_occur() -> None:
    occurring = {code for record, _ in RECORDS for code in await codes(SUBJECT, {NAME: [record]})}
    for domain, data, _ in PLACES:
        occurring.update(await codes(Subject(domain), data))
    for usage, record, _ in SILENT:
        occurring.update(await codes(Subject(DOMAIN, usage), {NAME: [record]}))
    of_reports = {kind.code for kind in observed.FINDING_TYPES}
    assert occurring == {kind.code for kind in dmarc.finds} - of_reports - {"dmarc.cname_conflict"}


@pytest.mark.parametrize(
    ("before", "code", "after"),
    [
        (
            "v=DMARC1; p=none; rua=mailto:d@example.org",
            "dmarc.policy_none",
            "v=DMARC1; p=quarantine; rua=mailto:d@example.org",
        ),
        ("v=DMARC1;p=none;", "dmarc.policy_none", "v=DMARC1; p=quarantine"),
        (
            "v=DMARC1; rua=mailto:d@example.org",
            "dmarc.policy_missing_p",
            "v=DMARC1; p=none; rua=mailto:d@example.org",
        ),
        (
            "v=DMARC1; p=non; rua=mailto:d@example.org",
            "dmarc.policy_invalid",
            "v=DMARC1; p=none; rua=mailto:d@example.org",
        ),
        (
            "v=DMARC1; p=reject",
            "dmarc.rua_missing",
            "v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org",
        ),
        (
            "v=DMARC1; p=reject; rua=d@example.org",
            "dmarc.rua_invalid_uri",
            "v=DMARC1; p=reject; rua=mailto:d@example.org",
        ),
        (
            "v=DMARC1; p=reject; rua=mailto:d@example.org,mailto:d@example.org",
            "dmarc.rua_duplicate",
            "v=DMARC1; p=reject; rua=mailto:d@example.org",
        ),
        ("v=DMARC1; p=reject; sp=none", "dmarc.subdomain_policy_weaker", "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; np=none", "dmarc.np_weaker", "v=DMARC1; p=reject; np=reject"),
        ("v=DMARC1; p=reject; t=y", "dmarc.testing_mode", "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; psd=y", "dmarc.psd_unexpected", "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; pct=20", "dmarc.pct_below_100", "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; ri=3600", "dmarc.removed_tag_ri", "v=DMARC1; p=reject"),
        ("v=dmarc1; p=reject", "dmarc.syntax_error", "v=DMARC1; p=reject"),
        ("p=reject; v=DMARC1", "dmarc.version_not_first", "v=DMARC1; p=reject"),
    ],
)
async def test_fix_contains_exact_replacement(before: str, code: str, after: str) -> None:
    findings = (await dmarc.run(SUBJECT, Zone(HOSTS | {NAME: [before]}))).findings
    (finding,) = [finding for finding in findings if finding.kind.code == code]
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name, finding.fix.type) == ("replace", NAME, "TXT")
    assert (finding.fix.before, finding.fix.after) == (before, after)


@pytest.mark.parametrize(
    ("usage", "policy"),
    [
        (Usage.BOTH, "none"),
        (Usage.SENDS, "none"),
        (Usage.RECEIVES, "reject"),
        (Usage.PARKED, "reject"),
    ],
)
async def test_fix_contains_first_record(usage: Usage, policy: str) -> None:
    (finding,) = (await dmarc.run(Subject(DOMAIN, usage), Zone(HOSTS))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name) == ("publish", NAME)
    assert finding.fix.after == f"v=DMARC1; p={policy}; rua=mailto:dmarc-reports@example.org"


async def test_parked_subdomain_gets_its_own_record() -> None:
    data = HOSTS | {NAME: [f"v=DMARC1; p=none; {WHOLE.replace('sp=reject', 'sp=none')}"]}
    zone = Zone(data | {("sub.example.org", "A"): []})
    finding = (await dmarc.run(Subject(SUB, Usage.PARKED), zone)).findings[-1]
    assert finding.kind.code == "dmarc.not_locked_down"
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name) == ("publish", SUB_NAME)
    assert finding.fix.after == "v=DMARC1; p=reject; rua=mailto:d@example.org"


async def test_weak_subdomain_policy_is_fixed_at_the_parent() -> None:
    data = HOSTS | {NAME: [f"v=DMARC1; p=reject; sp=none; {RUA}"], ("sub.example.org", "A"): []}
    finding = (await dmarc.run(Subject(SUB), Zone(data))).findings[-1]
    assert finding.fix is not None
    assert finding.fix.name == NAME
    assert finding.fix.after == f"v=DMARC1; p=reject; sp=quarantine; {RUA}"


async def test_fix_contains_authorization_record_of_destination() -> None:
    data = HOSTS | {NAME: [f"v=DMARC1; p=reject; {WHOLE},mailto:d@other.example"]}
    (finding,) = (await dmarc.run(SUBJECT, Zone(data))).findings
    assert finding.fix is not None
    assert finding.fix.name == "example.org._report._dmarc.other.example"
    assert (finding.fix.action, finding.fix.after) == ("publish", "v=DMARC1;")


@pytest.mark.parametrize(
    ("rua", "severity"),
    [
        ("mailto:d@silent.example", Severity.MEDIUM),
        ("mailto:d@silent.example,mailto:d@example.org", Severity.INFO),
    ],
)
async def test_unreachable_address_is_info_if_another_works(rua: str, severity: Severity) -> None:
    data = HOSTS | {NAME: [f"v=DMARC1; p=reject; sp=reject; np=reject; rua={rua}"]}
    (finding,) = (await dmarc.run(SUBJECT, Zone(data))).findings
    assert (finding.kind.code, finding.severity) == ("dmarc.rua_mailbox_no_mx", severity)


async def test_facts_contain_applicable_policy() -> None:
    record = f"v=DMARC1; p=quarantine; {WHOLE},mailto:d@reports.example; adkim=s; pct=100"
    facts = (await dmarc.run(SUBJECT, Zone(HOSTS | {NAME: [record]}))).facts
    assert facts == {
        "record_at": "example.org",
        "org_domain": "example.org",
        "effective_policy": "quarantine",
        "policy_tag": "p",
        "record_count_at_domain": 1,
        "psl_org_domain": "example.org",
        "record": record,
        "p": "quarantine",
        "sp": "reject",
        "np": "reject",
        "testing": False,
        "adkim": "s",
        "aspf": "r",
        "rua": ["mailto:d@example.org", "mailto:d@reports.example"],
        "ruf": [],
        "removed_tags": ["pct"],
        "obsolete_size": False,
        "rua_external": {"reports.example": True},
    }


@pytest.mark.parametrize("failure", [SERVFAIL, TIMEOUT])
@pytest.mark.parametrize("name", [NAME, "_dmarc.org", DOMAIN])
async def test_dns_failure_is_undetermined(name: str, failure: Any) -> None:
    check_result = await run_check(dmarc, SUBJECT, Zone(HOSTS | {name: failure}))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_failure_above_end_of_walk_does_not_matter() -> None:
    data = {NAME: [f"v=DMARC1; p=reject; psd=n; {WHOLE}"], "_dmarc.org": TIMEOUT}
    check_result = await run_check(dmarc, SUBJECT, Zone(HOSTS | data))
    assert (check_result.verdict, check_result.definite) == (Verdict.OK, True)


async def test_failed_destination_lookup_only_loses_its_own_findings() -> None:
    data = {
        NAME: [f"v=DMARC1; p=none; {WHOLE},mailto:d@reports.example"],
        "example.org._report._dmarc.reports.example": TIMEOUT,
    }
    check_result = await run_check(dmarc, SUBJECT, Zone(HOSTS | data))
    assert [finding.kind.code for finding in check_result.findings] == ["dmarc.policy_none"]
    assert check_result.facts["rua_external"] == {"reports.example": None}
    assert (check_result.verdict, check_result.definite) == (Verdict.UNDETERMINED, False)


async def test_host_of_another_organization_below_the_domain_must_consent() -> None:
    host = "tenant.example.org"
    data = HOSTS | {
        NAME: ["v=DMARC1; p=reject; rua=mailto:r@tenant.example.org"],
        f"_dmarc.{host}": ["v=DMARC1; p=none; psd=n"],
        (host, "MX"): ["10 mx.example.org"],
    }
    outcome = await dmarc.run(SUBJECT, Zone(data))
    assert outcome.facts["rua_external"] == {host: False}
    assert "dmarc.rua_external_unauthorized" in {item.kind.code for item in outcome.findings}
    consent = {f"example.org._report._dmarc.{host}": ["v=DMARC1;"]}
    outcome = await dmarc.run(SUBJECT, Zone(data | consent))
    assert outcome.facts["rua_external"] == {host: True}


async def test_destination_that_cannot_be_looked_up_is_not_ok() -> None:
    data = {
        NAME: [f"v=DMARC1; p=reject; {WHOLE},mailto:d@reports.example"],
        "example.org._report._dmarc.reports.example": TIMEOUT,
    }
    result = await run_check(dmarc, SUBJECT, Zone(HOSTS | data))
    assert (result.verdict, result.findings) == (Verdict.UNDETERMINED, ())
