"""A record that becomes invalid has one alert until it is valid again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.checks.engine.types import CheckResult, Severity, Verdict
from app.protocols.names import DomainName
from app.rules.engine.reconcile import Plan, plan
from app.rules.engine.types import Posture
from app.rules.scans import broken_records
from tests.support.live_alert import LiveAlert

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOMAIN = DomainName("example.org")
SPF_VALID, SPF_INVALID, SPF_NONE = ({"result": r} for r in ("valid", "permerror", "none"))
KEY = {"found": True, "key_type": "rsa"}


def posture(
    check: str, before: dict[str, Any] | None, now: dict[str, Any], *, definite: bool = True
) -> Posture:
    result = CheckResult(
        check=check,
        logic_version=1,
        verdict=Verdict.FAIL,
        facts=now,
        findings=(),
        records=(),
        elapsed_ms=1,
        definite=definite,
    )
    last_results = {check: {"facts": before}} if before is not None else {}
    return Posture(DOMAIN, NOW, {check: result}, last_results=last_results)


def evaluate(posture_now: Posture, *subjects: str) -> Plan[LiveAlert]:
    return plan(
        [LiveAlert("dns.record_broken", at) for at in subjects], posture_now, broken_records.RULES
    )


@pytest.mark.parametrize(
    ("check", "valid", "invalid", "at", "severity"),
    [
        ("spf", SPF_VALID, SPF_INVALID, "example.org", Severity.CRITICAL),
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
def test_record_that_became_invalid_opens_one_alert(
    check: str, valid: dict[str, Any], invalid: dict[str, Any], at: str, severity: Severity
) -> None:
    (draft,) = evaluate(posture(check, valid, invalid)).opened
    assert (draft.type, draft.subject, draft.severity) == ("dns.record_broken", at, severity)
    assert evaluate(posture(check, invalid, invalid), at) == Plan()
    assert [alert.subject for alert in evaluate(posture(check, invalid, valid), at).resolved] == [
        at
    ]
    assert evaluate(posture(check, valid, {"undetermined": True}, definite=False), at) == Plan()


@pytest.mark.parametrize("before", [None, SPF_INVALID, SPF_NONE])
def test_record_that_was_never_valid_opens_no_alert(before: dict[str, Any] | None) -> None:
    assert evaluate(posture("spf", before, SPF_INVALID)) == Plan()


def test_removed_record_is_no_longer_broken() -> None:
    assert [
        alert.subject
        for alert in evaluate(posture("spf", SPF_INVALID, SPF_NONE), "example.org").resolved
    ] == ["example.org"]


def test_missing_check_does_not_hide_another() -> None:
    dkim = "s1._domainkey.example.org"
    plan_now = evaluate(posture("spf", SPF_VALID, SPF_INVALID), dkim, "_dmarc.example.org")
    assert [draft.subject for draft in plan_now.opened] == ["example.org"]
    assert plan_now.resolved == []
