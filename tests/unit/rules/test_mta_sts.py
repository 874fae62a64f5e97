"""Alerts about the MTA-STS policy."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.checks.engine.types import CheckResult, Severity, Verdict
from app.protocols.names import DomainName
from app.rules.engine.reconcile import plan
from app.rules.engine.types import AlertDraft, Change, Posture
from app.rules.scans import mta_sts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOMAIN = DomainName("example.org")
GOOD = {"record": True, "record_valid": True, "policy_valid": True, "mode": "enforce"}
BROKEN = {"record": True, "record_valid": True, "policy_valid": False}


def posture(
    facts: dict[str, Any],
    *changes: Change,
    before: dict[str, Any] | None = None,
    definite: bool = True,
) -> Posture:
    check_result = CheckResult(
        check="mta_sts",
        logic_version=1,
        verdict=Verdict.OK,
        facts=facts,
        findings=(),
        records=(),
        elapsed_ms=1,
        definite=definite,
    )
    last_results = {"mta_sts": {"facts": before}} if before is not None else {}
    return Posture(
        domain=DOMAIN,
        now=NOW,
        check_results={"mta_sts": check_result},
        changes=changes,
        last_results=last_results,
    )


def drafts(current: Posture) -> list[AlertDraft]:
    return plan((), current, mta_sts.RULES).opened


@pytest.mark.parametrize(
    ("mode", "before", "severity"),
    [
        ("enforce", BROKEN, Severity.CRITICAL),
        ("testing", BROKEN, Severity.HIGH),
        ("none", BROKEN, None),
        (None, BROKEN, None),
        ("enforce", GOOD, None),
    ],
)
def test_broken_policy_opens_an_alert_at_the_second_scan(
    mode: str | None, before: dict[str, Any], severity: Severity | None
) -> None:
    opened = drafts(posture(BROKEN | {"known_mode": mode}, before=before))
    assert [draft.severity for draft in opened] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("before", "after", "count"), [(("a",), ("b",), 1), ((), ("b",), 0), (("a",), (), 0)]
)
def test_changed_policy_opens_an_alert_with_both_texts(
    before: tuple[str, ...], after: tuple[str, ...], count: int
) -> None:
    url = "https://mta-sts.example.org/.well-known/mta-sts.txt"
    opened = drafts(
        posture(
            GOOD,
            Change(check="mta_sts", name=url, type="HTTPS", before=before, after=after, at=NOW),
        )
    )
    assert [draft.type for draft in opened] == ["mta_sts.policy_changed"] * count
    if count:
        assert (opened[0].evidence["before"], opened[0].evidence["after"]) == ("a", "b")
