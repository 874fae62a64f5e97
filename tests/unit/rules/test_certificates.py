"""Alerts about expiring certificates of policy hosts, MX hosts and logos."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.engine.types import CheckResult, Severity, Verdict
from app.protocols import timestamps
from app.protocols.names import DomainName
from app.rules.engine.reconcile import plan
from app.rules.engine.types import Posture
from app.rules.scans import certificates
from tests.support.live_alert import LiveAlert

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOMAIN = DomainName("example.org")
POLICY, MX, LOGO = "mta-sts.example.org", "mx a.example.org", "logo https://example.org/a.pem"


def not_after_in(days: float) -> str:
    return timestamps.text(NOW + timedelta(days=days))


def policy(not_after: str | None) -> tuple[str, dict[str, Any]]:
    return "mta_sts", {"record_valid": True, "certificate_not_after": not_after}


def mx(not_after: str | None) -> tuple[str, dict[str, Any]]:
    return "starttls", {"tested": True, "hosts": {"a.example.org": {"not_after": not_after}}}


def logo(not_after: str | None) -> tuple[str, dict[str, Any]]:
    return "bimi", {
        "authority": "https://example.org/a.pem",
        **({"authority_not_after": not_after} if not_after else {}),
    }


def posture(*results: tuple[str, dict[str, Any]], definite: bool = True) -> Posture:
    return Posture(
        DOMAIN,
        NOW,
        {
            check: CheckResult(
                check=check,
                logic_version=1,
                verdict=Verdict.OK,
                facts=facts,
                findings=(),
                records=(),
                elapsed_ms=1,
                definite=definite,
            )
            for check, facts in results
        },
    )


def opened_severities(current: Posture) -> dict[str, Severity]:
    opened = plan((), current, certificates.RULES).opened
    assert {draft.type for draft in opened} <= {"cert.expiring"}
    return {draft.subject: draft.severity for draft in opened}


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        (31, None),
        (29, Severity.MEDIUM),
        (7.5, Severity.MEDIUM),
        (6.9, Severity.HIGH),
        (1.1, Severity.HIGH),
        (0.9, Severity.CRITICAL),
    ],
)
@pytest.mark.parametrize(("of", "subject"), [(policy, POLICY), (mx, MX), (logo, LOGO)])
def test_severity_rises_as_certificate_expiry_approaches(
    of: Any, subject: str, days: float, severity: Severity | None
) -> None:
    assert opened_severities(posture(of(not_after_in(days)))) == (
        {subject: severity} if severity else {}
    )


@pytest.mark.parametrize(
    ("current", "unresolved"),
    [
        (posture(policy(None), mx(not_after_in(99)), logo(not_after_in(99))), [POLICY]),
        (posture(policy(not_after_in(99)), mx(None), logo(not_after_in(99))), [MX]),
        (posture(policy(not_after_in(99)), mx(not_after_in(99)), logo(None)), [LOGO]),
        (posture(policy(not_after_in(99)), mx(not_after_in(99)), logo(not_after_in(99))), []),
        (posture(("mta_sts", {}), ("starttls", {"tested": True, "hosts": {}}), ("bimi", {})), []),
        (
            posture(("mta_sts", {}), ("starttls", {"tested": False, "hosts": {}}), ("bimi", {})),
            [MX],
        ),
        (
            posture(("mta_sts", {}), ("starttls", {}), ("bimi", {}), definite=False),
            [POLICY, MX, LOGO],
        ),
        (posture(), [POLICY, MX, LOGO]),
    ],
)
def test_alert_is_kept_if_its_certificate_was_not_checked(
    current: Posture, unresolved: list[str]
) -> None:
    standing = [LiveAlert("cert.expiring", subject) for subject in (POLICY, MX, LOGO)]
    result = plan(standing, current, certificates.RULES)
    assert result.sustained == []
    assert [alert.subject for alert in standing if alert not in result.resolved] == unresolved


def test_mail_host_without_result_does_not_hide_another() -> None:
    hosts = {"a.example.org": {"not_after": None}, "b.example.org": {"not_after": not_after_in(3)}}
    current = posture(("starttls", {"tested": True, "hosts": hosts}))
    assert opened_severities(current) == {"mx b.example.org": Severity.HIGH}
