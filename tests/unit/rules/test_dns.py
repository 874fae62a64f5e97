"""Detection of DNS changes, and the alerts that they open."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.engine.evidence import Record
from app.checks.engine.types import CheckResult, Finding, FindingType, Severity, Verdict
from app.protocols.names import DomainName
from app.rules.engine.reconcile import plan
from app.rules.engine.types import AlertDraft, Change, Posture
from app.rules.scans import dns

DOMAIN = DomainName("example.org")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NONE, REJECT = "v=DMARC1; p=none", "v=DMARC1; p=reject"


def result(
    check: str, *records: Record, definite: bool = True, findings: Sequence[Finding] = ()
) -> CheckResult:
    return CheckResult(
        check=check,
        logic_version=1,
        verdict=Verdict.OK,
        facts={},
        findings=tuple(findings),
        records=records,
        elapsed_ms=1,
        definite=definite,
    )


def record(name: str, type: str, *values: str, rcode: str = "NOERROR") -> Record:
    return Record(name=name, type=type, rcode=rcode, ttl=300, values=values)


def last_results(
    check: str, *records: Record, findings: Sequence[Finding] = (), logic: int = 1
) -> dict[str, Any]:
    stored = [
        {"name": r.name, "type": r.type, "rcode": r.rcode, "ttl": r.ttl, "values": list(r.values)}
        for r in records
    ]
    stored_findings = [
        {"code": finding.kind.code, "subject": finding.subject} for finding in findings
    ]
    return {check: {"records": stored, "findings": stored_findings, "logicVersion": logic}}


@pytest.mark.parametrize(
    ("check", "before", "after", "is_detected"),
    [
        ("mx", ("example.org", "MX", "10 a."), ("example.org", "MX", "10 b."), True),
        ("mx", ("example.org", "MX", "1 a.", "1 b."), ("example.org", "MX", "1 b.", "1 a."), False),
        ("mx", ("a.example.org", "A", "192.0.2.1"), ("a.example.org", "A", "192.0.2.2"), False),
        ("spf", ("_spf.other.com", "TXT", "v=spf1"), ("_spf.other.com", "TXT", "x"), False),
        ("spf", ("example.org", "TXT", "v=spf1 -all"), ("example.org", "TXT"), True),
        ("spf", ("example.org", "TXT", "v=spf1", "x=1"), ("example.org", "TXT", "v=spf1"), False),
        ("dmarc", ("_dmarc.example.org", "TXT"), ("_dmarc.example.org", "TXT", NONE), True),
    ],
)
def test_change_of_own_records_is_detected(
    check: str, before: tuple[str, ...], after: tuple[str, ...], is_detected: bool
) -> None:
    changes = dns.between(
        DOMAIN, last_results(check, record(*before)), [result(check, record(*after))], NOW
    )
    assert bool(changes) is is_detected


def test_failed_lookup_is_not_a_change() -> None:
    before = last_results("mx", record("example.org", "MX", "10 a."))
    failed = result("mx", record("example.org", "MX", rcode="servfail"))
    assert dns.between(DOMAIN, before, [failed], NOW) == []


def test_inconclusive_result_is_not_a_change() -> None:
    before = last_results("mx", record("example.org", "MX", "10 a."))
    unsure = result("mx", record("example.org", "MX"), definite=False)
    assert dns.between(DOMAIN, before, [unsure], NOW) == []


def test_first_scan_has_no_change() -> None:
    assert dns.between(DOMAIN, {}, [result("mx", record("example.org", "MX", "a"))], NOW) == []


MX_A, MX_B = record("example.org", "MX", "10 a."), record("example.org", "MX", "10 b.")
STAYS, WENT, CAME = (
    Finding(
        FindingType(
            code=f"mx.{name}",
            severity=Severity.LOW,
            summary=name,
            observed="",
            why="",
            remediation="",
            reference="RFC 5321 §5.1",
        ),
        "example.org",
    )
    for name in ("stays", "went", "came")
)


def test_change_lists_findings_that_appeared_or_cleared() -> None:
    before = last_results("mx", MX_A, findings=[STAYS, WENT]) | last_results("dane", MX_A)
    came = replace(CAME, kind=replace(CAME.kind, code="dane.came"))
    after = [
        result("mx", MX_B, findings=[STAYS, CAME]),
        result("dane", MX_B, findings=[came]),  # it depends on the record, too
        result("spf", MX_B, findings=[CAME]),  # of which nothing was known before
    ]
    [change] = dns.between(DOMAIN, before, after, NOW)
    assert (change.findings_appeared, change.findings_resolved) == (
        ("dane.came", "mx.came"),
        ("mx.went",),
    )
    [draft] = alerts(change)
    assert draft.evidence["opened"] == ["dane.came", "mx.came"]
    assert draft.evidence["closed"] == ["mx.went"]


def test_findings_of_another_logic_version_are_not_part_of_a_change() -> None:
    before = last_results("mx", MX_A, findings=[WENT], logic=2)
    [change] = dns.between(DOMAIN, before, [result("mx", MX_B, findings=[CAME])], NOW)
    assert (change.findings_appeared, change.findings_resolved) == ((), ())


def alerts(*changes: Change) -> list[AlertDraft]:
    posture = Posture(domain=DOMAIN, now=NOW, check_results={}, changes=changes)
    return plan((), posture, dns.RULES).opened


def dmarc_change(before: list[str], after: list[str], *, hours_ago: int = 1) -> Change:
    at = NOW - timedelta(hours=hours_ago)
    return Change(
        check="dmarc",
        name="_dmarc.example.org",
        type="TXT",
        before=tuple(before),
        after=tuple(after),
        at=at,
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([REJECT], [], [("dns.record_removed", Severity.CRITICAL)]),
        ([], [NONE], [("dns.record_changed.dmarc", Severity.INFO)]),
        (
            [REJECT],
            [NONE],
            [
                ("dns.record_changed.dmarc", Severity.MEDIUM),
                ("dmarc.policy_weakened", Severity.CRITICAL),
            ],
        ),
        (
            [NONE],
            [REJECT],
            [
                ("dns.record_changed.dmarc", Severity.MEDIUM),
                ("dmarc.policy_strengthened", Severity.INFO),
            ],
        ),
        ([NONE], [f"{NONE}; fo=1"], [("dns.record_changed.dmarc", Severity.MEDIUM)]),
    ],
)
def test_change_opens_the_expected_alerts(
    before: list[str], after: list[str], expected: list[tuple[str, Severity]]
) -> None:
    severities = [(draft.type, draft.severity) for draft in alerts(dmarc_change(before, after))]
    assert severities == expected


@pytest.mark.parametrize(
    ("before", "after", "expected", "changed"),
    [
        (REJECT, f"{REJECT}; sp=none", "dmarc.policy_weakened", {"sp", "np"}),
        (REJECT, f"{REJECT}; np=quarantine", "dmarc.policy_weakened", {"np"}),
        (REJECT, f"{REJECT}; t=y", "dmarc.policy_weakened", {"p", "sp", "np"}),
        (f"{REJECT}; sp=none", REJECT, "dmarc.policy_strengthened", {"sp", "np"}),
        (f"{NONE}; sp=reject", REJECT, "dmarc.policy_strengthened", {"p"}),
        (
            f"{REJECT}; sp=none",
            "v=DMARC1; p=quarantine",
            "dmarc.policy_weakened",
            {"p", "sp", "np"},
        ),
        (REJECT, f"{REJECT}; sp=reject", None, set()),
    ],
)
def test_policy_is_weaker_if_it_applies_to_less_mail(
    before: str, after: str, expected: str | None, changed: set[str]
) -> None:
    by_type = {draft.type: draft for draft in alerts(dmarc_change([before], [after]))}
    by_type.pop("dns.record_changed.dmarc")
    assert list(by_type) == ([expected] if expected else [])
    policies: list[Any] = [draft.evidence["policies"] for draft in by_type.values()]
    assert all(set(tags) == changed for tags in policies)


def test_weakened_policy_has_both_records_and_the_fix_that_restores_the_old_one() -> None:
    before, after = f"{REJECT}; rua=mailto:d@example.org", f"{NONE}; rua=mailto:d@example.org"
    by_type = {draft.type: draft for draft in alerts(dmarc_change([before], [after]))}
    weakened = by_type["dmarc.policy_weakened"]
    assert (weakened.evidence["before"], weakened.evidence["after"]) == (before, after)
    assert weakened.fix is not None
    assert weakened.fix[:5] == ("replace", "_dmarc.example.org", "TXT", after, before)


def test_only_the_last_change_of_a_record_counts() -> None:
    gone = dmarc_change([REJECT], [], hours_ago=2)
    back = dmarc_change([], [REJECT], hours_ago=1)
    assert [draft.type for draft in alerts(gone, back)] == ["dns.record_changed.dmarc"]


def test_every_opened_type_belongs_to_its_rule() -> None:
    changes = [
        dmarc_change([REJECT], [NONE]),
        Change(check="dns", name="example.org", type="NS", before=("a",), after=("b",), at=NOW),
        Change(
            check="dane",
            name="_25._tcp.mx.example.org",
            type="TLSA",
            before=("a",),
            after=("b",),
            at=NOW,
        ),
        Change(check="mx", name="example.org", type="MX", before=("a",), after=(), at=NOW),
    ]
    for rule in dns.RULES:
        drafts = (
            rule.evaluate(Posture(domain=DOMAIN, now=NOW, check_results={}, changes=changes)) or ()
        )
        assert {draft.type for draft in drafts} <= rule.types


def test_tlsa_change_has_the_same_type_from_either_check() -> None:
    change = Change(
        check="mta_sts",
        name="_25._tcp.mx.example.org",
        type="TLSA",
        before=("3 1 1 ab",),
        after=("3 1 1 cd",),
        at=NOW,
    )
    assert [draft.type for draft in alerts(change)] == ["dns.record_changed.tlsa"]


@pytest.mark.parametrize("check", ["bimi", "mta_sts"])
def test_file_that_is_gone_is_not_a_record_that_is_gone(check: str) -> None:
    change = Change(
        check=check,
        name="https://example.org/file",
        type="HTTPS",
        before=("its digest",),
        after=(),
        at=NOW,
    )
    assert alerts(change) == []
