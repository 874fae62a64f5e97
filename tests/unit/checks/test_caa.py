"""The caa check: which CAs may issue certificates."""

from typing import Any

import pytest

from app.checks.dns.caa import caa
from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Verdict
from app.ports.dns import Caa
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

SUBJECT = Subject(DomainName("example.org"))
SUB = Subject(DomainName("mail.example.org"))
AT = ("example.org", "CAA")
ISSUE = Caa(0, "issue", "ca.example")


@pytest.mark.parametrize(
    ("records", "codes"),
    [
        ([], ["caa.missing"]),
        ([ISSUE], []),
        ([Caa(0, "ISSUE", "ca.example; validationmethods=dns-01; accounturi=https://a/b?c=d")], []),
        ([Caa(128, "issue", "ca.example")], []),
        ([Caa(0, "issue", ";")], ["caa.issuance_forbidden"]),
        ([Caa(0, "issue", ";"), ISSUE], []),
        ([Caa(0, "iodef", "mailto:a@example.org")], ["caa.issuance_unrestricted"]),
        ([Caa(0, "issuemail", "ca.example")], ["caa.issuance_unrestricted"]),
        ([Caa(0, "issuewild", "ca.example")], ["caa.only_wildcards_restricted"]),
        ([Caa(0, "issuewild", ";")], ["caa.only_wildcards_restricted"]),
        ([Caa(0, "issue", ";"), Caa(0, "issuewild", "ca.example")], []),
        ([Caa(0, "issue", ";"), Caa(0, "issuewild", ";")], ["caa.issuance_forbidden"]),
        ([ISSUE, Caa(0, "iodef", "a@example.org")], ["caa.iodef_invalid"]),
        ([ISSUE, Caa(0, "iodef", "ftp://example.org/")], ["caa.iodef_invalid"]),
        ([ISSUE, Caa(0, "tbs", "unknown")], []),
        ([ISSUE, Caa(128, "tbs", "unknown")], ["caa.unknown_critical"]),
        ([ISSUE, Caa(0, "issue", "%%%%%")], ["caa.syntax_error"]),
        ([ISSUE, Caa(0, "issue", "b.example; policy=ev;")], ["caa.syntax_error"]),
        ([ISSUE, Caa(0, "issuewild", "ca.example policy=ev")], ["caa.syntax_error"]),
    ],
)
async def test_findings_match_behavior_of_cas(records: list[Caa], codes: list[str]) -> None:
    outcome = await caa.run(SUBJECT, Zone({AT: records}))
    assert [finding.kind.code for finding in outcome.findings] == codes


async def test_facts_list_the_issuers_by_property() -> None:
    records = [
        Caa(0, "issue", "b.example; policy=ev"),
        Caa(0, "issue", "A.example"),
        Caa(0, "issuewild", ";"),
        Caa(0, "issuemail", "mail.example"),
        Caa(0, "iodef", "mailto:a@example.org"),
    ]
    outcome = await caa.run(SUBJECT, Zone({AT: records}))
    assert outcome.facts == {
        "record": True,
        "found_at": "example.org",
        "issue": ["a.example", "b.example"],
        "issuewild": [],
        "issuemail": ["mail.example"],
        "iodef": ["mailto:a@example.org"],
        "restricted": ["tls", "wildcard", "email"],
    }


@pytest.mark.parametrize(
    ("records", "restricted"),
    [
        ([], []),
        ([Caa(0, "iodef", "mailto:a@example.org")], []),
        ([Caa(0, "issuewild", ";")], ["wildcard"]),
        ([Caa(0, "issuewild", "ca.example")], ["wildcard"]),
        ([Caa(0, "issue", ";")], ["tls", "wildcard"]),
        ([Caa(0, "issue", "%%%")], ["tls", "wildcard"]),
        ([Caa(0, "issuemail", ";")], ["email"]),
        ([Caa(128, "tbs", "unknown")], ["tls", "wildcard", "email"]),
    ],
)
async def test_facts_say_which_certificates_are_restricted(
    records: list[Caa], restricted: list[str]
) -> None:
    outcome = await caa.run(SUBJECT, Zone({AT: records}))
    assert outcome.facts["restricted"] == restricted


async def test_nearest_set_up_the_tree_applies() -> None:
    above: dict[Any, Any] = {("org", "CAA"): [Caa(0, "issue", "other.example")]}
    outcome = await caa.run(SUB, Zone({AT: [ISSUE]} | above))
    assert (outcome.facts["found_at"], outcome.facts["issue"]) == ("example.org", ["ca.example"])
    outcome = await caa.run(SUB, Zone(above))
    assert outcome.facts["found_at"] == "org"


async def test_root_is_not_queried() -> None:
    zone = Zone({})
    await caa.run(SUBJECT, zone)
    assert {name for name, _ in zone.asked} == {"example.org", "org", "mta-sts.example.org"}


async def test_set_of_policy_host_is_checked_too() -> None:
    data: dict[Any, Any] = {AT: [ISSUE], ("mta-sts.example.org", "CAA"): [Caa(0, "issue", ";")]}
    outcome = await caa.run(SUBJECT, Zone(data))
    assert [(finding.kind.code, finding.subject) for finding in outcome.findings] == [
        ("caa.issuance_forbidden", "mta-sts.example.org")
    ]


async def test_fix_removes_the_semicolon_that_no_parameter_follows() -> None:
    value = '0 issue "ca.example; policy=ev;"'
    zone = Zone({AT: [Caa(0, "issue", "ca.example; policy=ev;")]})
    [finding] = (await run_check(caa, SUBJECT, zone)).findings
    assert finding.fix is not None
    assert (finding.fix.before, finding.fix.after) == (value, '0 issue "ca.example; policy=ev"')


async def test_fix_removes_records_that_block_every_ca() -> None:
    (finding,) = (await caa.run(SUBJECT, Zone({AT: [Caa(128, "tbs", "x")]}))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.before) == ("remove", '128 tbs "x"')


@pytest.mark.parametrize(
    "data",
    [
        {AT: SERVFAIL},
        {("org", "CAA"): TIMEOUT},
        {AT: [ISSUE], "mta-sts.example.org": TIMEOUT},
    ],
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    check_result = await run_check(caa, SUBJECT, Zone(data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_failure_above_applicable_set_does_not_matter() -> None:
    outcome = await caa.run(SUBJECT, Zone({AT: [ISSUE], ("org", "CAA"): SERVFAIL}))
    assert outcome.verdict is Verdict.OK


async def test_bad_set_is_reported_although_the_other_lookup_fails() -> None:
    data: dict[Any, Any] = {AT: [Caa(128, "tbs", "x")], "mta-sts.example.org": TIMEOUT}
    check_result = await run_check(caa, SUBJECT, Zone(data))
    assert [finding.kind.code for finding in check_result.findings] == ["caa.unknown_critical"]
    assert not check_result.definite
