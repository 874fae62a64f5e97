"""Certificates that end: those of the policy's host, of MX hosts and of logos."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.engine.types import CheckResult, Severity, Verdict
from app.protocols import timestamps
from app.protocols.names import DomainName
from app.rules.engine.reconcile import plan
from app.rules.engine.types import Posture
from app.rules.scans import certificates
from tests.support.standing_alert import Standing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOMAIN = DomainName("example.org")
POLICY, MX, LOGO = "mta-sts.example.org", "mx a.example.org", "logo https://example.org/a.pem"


def ends(days: float) -> str:
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


def posture(*judged: tuple[str, dict[str, Any]], definite: bool = True) -> Posture:
    return Posture(
        DOMAIN,
        NOW,
        {
            check: CheckResult(check, 1, Verdict.OK, facts, (), (), 1, definite)
            for check, facts in judged
        },
    )


def told(seen: Posture) -> dict[str, Severity]:
    opened = plan((), seen, certificates.RULES).opened
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
def test_a_certificate_that_ends_is_told_more_urgently_each_time(
    of: Any, subject: str, days: float, severity: Severity | None
) -> None:
    assert told(posture(of(ends(days)))) == ({subject: severity} if severity else {})


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        (posture(policy(None), mx(ends(99)), logo(ends(99))), [POLICY]),
        (posture(policy(ends(99)), mx(None), logo(ends(99))), [MX]),
        (posture(policy(ends(99)), mx(ends(99)), logo(None)), [LOGO]),
        (posture(policy(ends(99)), mx(ends(99)), logo(ends(99))), []),
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
def test_what_was_not_seen_changes_nothing(seen: Posture, kept: list[str]) -> None:
    standing = [Standing("cert.expiring", subject) for subject in (POLICY, MX, LOGO)]
    found = plan(standing, seen, certificates.RULES)
    assert found.sustained == []
    assert [alert.subject for alert in standing if alert not in found.resolved] == kept


def test_one_mail_host_that_was_not_seen_does_not_hide_another() -> None:
    hosts = {"a.example.org": {"not_after": None}, "b.example.org": {"not_after": ends(3)}}
    seen = posture(("starttls", {"tested": True, "hosts": hosts}))
    assert told(seen) == {"mx b.example.org": Severity.HIGH}
