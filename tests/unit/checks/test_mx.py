"""The mx check: reachable hosts, and the null MX."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Usage, Verdict
from app.checks.mx import mx
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

DOMAIN = DomainName("example.org")
SUBJECT = Subject(DOMAIN)
MX = ("example.org", "MX")
HOSTS: dict[Any, Any] = {
    ("mx1.example.org", "A"): ["192.0.2.1"],
    ("mx1.example.org", "AAAA"): ["2001:db8::1"],
    ("mx2.example.org", "A"): ["192.0.2.2"],
    ("alias.example.org", "CNAME"): ["mx1.example.org"],
    ("inner.example.org", "A"): ["10.0.0.1"],
    ("text.example.org", "TXT"): ["no address"],
}


@pytest.mark.parametrize(
    ("records", "codes"),
    [
        (["10 mx1.example.org", "10 mx2.example.org"], []),
        (["10 mx2.example.org"], ["mx.ipv6_missing"]),
        (["0 ."], ["mx.null_mx_ok"]),
        (["0 .", "10 mx1.example.org"], ["mx.null_mx_mixed"]),
        (["10 mx1.example.org", "20 gone.example.org"], ["mx.host_no_address"]),
        (["10 mx1.example.org", "20 text.example.org"], ["mx.host_no_address"]),
        (["10 alias.example.org"], ["mx.points_to_cname"]),
        (["10 mx1.example.org", "20 192.0.2.9"], ["mx.points_to_ip"]),
        (["10 mx1.example.org", "20 inner.example.org"], ["mx.host_not_public"]),
        (["10 mx1.example.org", "20 mx1.example.org"], []),
    ],
)
async def test_findings_describe_mail_routing(records: list[str], codes: list[str]) -> None:
    outcome = await mx.run(SUBJECT, Zone(HOSTS | {MX: records}))
    assert [finding.kind.code for finding in outcome.findings] == codes


@pytest.mark.parametrize(
    ("usage", "data", "codes"),
    [
        (Usage.BOTH, {}, ["mx.missing"]),
        (Usage.BOTH, {("example.org", "A"): ["192.0.2.1"]}, ["mx.implicit"]),
        (Usage.SENDS, {}, []),
        (Usage.SENDS, {MX: ["0 ."]}, ["mx.null_mx_on_sending_domain"]),
        (Usage.RECEIVES, {MX: ["0 ."]}, ["mx.null_mx_unexpected"]),
        (Usage.PARKED, {MX: ["0 ."]}, ["mx.null_mx_ok"]),
        (Usage.PARKED, {}, ["mx.null_mx_missing"]),
        (Usage.PARKED, {("example.org", "A"): ["192.0.2.1"]}, ["mx.null_mx_missing"]),
        (Usage.PARKED, {MX: ["10 mx1.example.org"]}, ["mx.null_mx_missing"]),
        (Usage.PARKED, {MX: ["0 .", "10 mx1.example.org"]}, ["mx.null_mx_mixed"]),
    ],
)
async def test_expected_records_depend_on_usage(
    usage: Usage, data: dict[Any, Any], codes: list[str]
) -> None:
    outcome = await mx.run(Subject(DOMAIN, usage), Zone(HOSTS | data))
    assert [finding.kind.code for finding in outcome.findings] == codes


@pytest.mark.parametrize(
    ("records", "usage", "action", "before", "after"),
    [
        (
            ["10 alias.example.org"],
            Usage.BOTH,
            "replace",
            "10 alias.example.org.",
            "10 mx1.example.org.",
        ),
        (["0 .", "10 mx1.example.org"], Usage.BOTH, "remove", "0 .", None),
        (["0 .", "10 mx1.example.org"], Usage.PARKED, "replace", "0 .\n10 mx1.example.org.", "0 ."),
        ([], Usage.PARKED, "publish", None, "0 ."),
        (["10 mx1.example.org"], Usage.PARKED, "replace", "10 mx1.example.org.", "0 ."),
        (
            ["10 mx1.example.org", "20 gone.example.org"],
            Usage.BOTH,
            "remove",
            "20 gone.example.org.",
            None,
        ),
    ],
)
async def test_fix_contains_exact_change(
    records: list[str], usage: Usage, action: str, before: str | None, after: str | None
) -> None:
    (finding,) = (await mx.run(Subject(DOMAIN, usage), Zone(HOSTS | {MX: records}))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.before, finding.fix.after) == (action, before, after)
    assert (finding.fix.name, finding.fix.type) == ("example.org", "MX")


async def test_facts_list_hosts_by_preference_and_their_problems() -> None:
    records = ["20 gone.example.org", "10 alias.example.org"]
    outcome = await mx.run(SUBJECT, Zone(HOSTS | {MX: records}))
    assert outcome.facts == {
        "null_mx": False,
        "null_mx_with_others": False,
        "implicit": False,
        "hosts": ["alias.example.org", "gone.example.org"],
        "cname_targets": ["alias.example.org"],
        "unresolvable_targets": ["gone.example.org"],
    }


async def test_partly_unreachable_host_is_less_severe() -> None:
    data: dict[Any, Any] = {
        MX: ["10 both.example.org"],
        ("both.example.org", "A"): ["192.0.2.1", "127.0.0.1"],
    }
    finding = (await mx.run(SUBJECT, Zone(data))).findings[0]
    assert (finding.kind.code, finding.severity) == ("mx.host_not_public", Severity.MEDIUM)
    assert finding.evidence == {"addresses": ["127.0.0.1"]}


@pytest.mark.parametrize(
    "data",
    [
        {MX: SERVFAIL},
        {"example.org": TIMEOUT},
        {MX: [], ("example.org", "A"): TIMEOUT},
        {MX: ["10 mx1.example.org", "20 slow.example.org"], "slow.example.org": TIMEOUT},
        {MX: ["10 slow.example.org"], ("slow.example.org", "AAAA"): SERVFAIL},
    ],
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    check_result = await run_check(mx, SUBJECT, Zone(HOSTS | data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_bad_host_is_reported_although_another_lookup_fails() -> None:
    data = {MX: ["10 gone.example.org", "20 slow.example.org"], "slow.example.org": TIMEOUT}
    check_result = await run_check(mx, SUBJECT, Zone(HOSTS | data))
    assert [finding.subject for finding in check_result.findings] == ["gone.example.org"]
    assert not check_result.definite


async def test_failed_aaaa_lookup_does_not_count_as_no_ipv6() -> None:
    data = {MX: ["10 mx2.example.org"], ("mx2.example.org", "AAAA"): SERVFAIL}
    check_result = await run_check(mx, SUBJECT, Zone(HOSTS | data))
    assert (check_result.verdict, check_result.findings) == (Verdict.UNDETERMINED, ())
    assert not check_result.definite
