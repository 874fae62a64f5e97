"""The MTA-STS policy and its certificate: what is told of them, and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.contract import Judgement, Severity, Verdict
from app.protocols import timestamps
from app.protocols.names import DomainName
from app.rules import mta_sts
from app.rules.contract import Change, Draft, Posture

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
    judgement = Judgement("mta_sts", 1, Verdict.OK, facts, (), (), 1, definite)
    known = {"mta_sts": {"facts": before}} if before is not None else {}
    return Posture(DOMAIN, NOW, {"mta_sts": judgement}, changes, known)


def drafts(seen: Posture) -> list[Draft]:
    return [draft for rule in mta_sts.RULES for draft in rule.judge(seen) or ()]


@pytest.mark.parametrize(
    ("days", "severity"),
    [(31, None), (29, Severity.MEDIUM), (7.5, Severity.MEDIUM), (6.9, Severity.HIGH),
     (1.1, Severity.HIGH), (0.9, Severity.CRITICAL)],
)  # fmt: skip
def test_a_certificate_that_ends_is_told_more_urgently_each_time(
    days: float, severity: Severity | None
) -> None:
    end = timestamps.text(NOW + timedelta(days=days))
    found = drafts(posture(GOOD | {"certificate_not_after": end}))
    assert [draft.severity for draft in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("facts", "definite"),
    [(BROKEN | {"certificate_not_after": None}, True), ({"undetermined": True}, False)],
)
def test_a_certificate_that_was_not_seen_changes_nothing(
    facts: dict[str, Any], definite: bool
) -> None:
    certificate, _, _ = mta_sts.RULES
    assert certificate.judge(posture(facts, definite=definite)) is None


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
def test_a_policy_that_broke_is_told_at_the_second_sight(
    mode: str | None, before: dict[str, Any], severity: Severity | None
) -> None:
    found = drafts(posture(BROKEN | {"known_mode": mode}, before=before))
    assert [draft.severity for draft in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("before", "after", "count"), [(("a",), ("b",), 1), ((), ("b",), 0), (("a",), (), 0)]
)
def test_a_policy_that_changed_is_told_with_both_texts(
    before: tuple[str, ...], after: tuple[str, ...], count: int
) -> None:
    url = "https://mta-sts.example.org/.well-known/mta-sts.txt"
    found = drafts(posture(GOOD, Change("mta_sts", url, "HTTPS", before, after, NOW)))
    assert [draft.type for draft in found] == ["mta_sts.policy_changed"] * count
    if count:
        assert (found[0].evidence["before"], found[0].evidence["after"]) == ("a", "b")
