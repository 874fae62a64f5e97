"""Records that break: told once, from the scan that saw it until they are well again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.checks.engine.types import CheckResult, Severity, Verdict
from app.protocols.names import DomainName
from app.rules.engine.reconcile import Plan, plan
from app.rules.engine.types import Posture
from app.rules.scans import broken_records
from tests.support.standing_alert import Standing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOMAIN = DomainName("example.org")
SPF_GOOD, SPF_BAD, SPF_NONE = ({"result": r} for r in ("valid", "permerror", "none"))
KEY = {"found": True, "key_type": "rsa"}


def posture(
    check: str, before: dict[str, Any] | None, now: dict[str, Any], *, definite: bool = True
) -> Posture:
    judgement = CheckResult(check, 1, Verdict.FAIL, now, (), (), 1, definite)
    known = {check: {"facts": before}} if before is not None else {}
    return Posture(DOMAIN, NOW, {check: judgement}, last_results=known)


def run(seen: Posture, *subjects: str) -> Plan[Standing]:
    return plan([Standing("dns.record_broken", at) for at in subjects], seen, broken_records.RULES)


@pytest.mark.parametrize(
    ("check", "good", "bad", "at", "severity"),
    [
        ("spf", SPF_GOOD, SPF_BAD, "example.org", Severity.CRITICAL),
        (
            "dmarc",
            {"record_count_at_domain": 1, "effective_policy": "reject"},
            {"record_count_at_domain": 2, "effective_policy": None},
            "_dmarc.example.org",
            Severity.CRITICAL,
        ),
        (
            "dkim",
            {"selectors": {"s1": KEY}},
            {"selectors": {"s1": {"found": True}}},
            "s1._domainkey.example.org",
            Severity.CRITICAL,
        ),
        (
            "mta_sts",
            {"record_valid": True},
            {"record_valid": False},
            "_mta-sts.example.org",
            Severity.HIGH,
        ),
        (
            "tls_rpt",
            {"record_valid": True},
            {"record_valid": False},
            "_smtp._tls.example.org",
            Severity.HIGH,
        ),
        (
            "bimi",
            {"record_valid": True},
            {"record_valid": False},
            "default._bimi.example.org",
            Severity.HIGH,
        ),
    ],
)
def test_a_record_that_was_good_and_is_not_any_more_is_told(
    check: str, good: dict[str, Any], bad: dict[str, Any], at: str, severity: Severity
) -> None:
    (draft,) = run(posture(check, good, bad)).opened
    assert (draft.type, draft.subject, draft.severity) == ("dns.record_broken", at, severity)
    assert run(posture(check, bad, bad), at) == Plan()
    assert [alert.subject for alert in run(posture(check, bad, good), at).resolved] == [at]
    assert run(posture(check, good, {"undetermined": True}, definite=False), at) == Plan()


@pytest.mark.parametrize("before", [None, SPF_BAD, SPF_NONE])
def test_a_record_that_was_never_good_is_its_findings_matter(before: dict[str, Any] | None) -> None:
    assert run(posture("spf", before, SPF_BAD)) == Plan()


def test_a_record_that_is_gone_is_broken_no_more() -> None:
    assert [
        alert.subject for alert in run(posture("spf", SPF_BAD, SPF_NONE), "example.org").resolved
    ] == ["example.org"]


def test_one_check_that_cannot_see_does_not_hide_another() -> None:
    dkim = "s1._domainkey.example.org"
    found = run(posture("spf", SPF_GOOD, SPF_BAD), dkim, "_dmarc.example.org")
    assert [draft.subject for draft in found.opened] == ["example.org"]
    assert found.resolved == []
