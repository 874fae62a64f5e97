"""Alerts about the API keys and channels of an account."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.checks.engine.types import Severity
from app.rules.accounts import keys_and_channels
from app.rules.accounts.keys_and_channels import AccountPosture, Channel, Key, Sink
from app.rules.engine.reconcile import plan

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=100)


def opened(posture: AccountPosture) -> dict[str, Severity]:
    return {
        draft.type: draft.severity for draft in plan((), posture, keys_and_channels.RULES).opened
    }


def day(ago: int) -> date:
    return (NOW - timedelta(days=ago)).date()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"created_at": NOW - timedelta(days=1)}, {"key.created": Severity.INFO}),
        ({"revoked_at": NOW - timedelta(days=1)}, {"key.revoked": Severity.INFO}),
        ({"revoked_at": NOW - timedelta(days=8)}, {}),
        ({"expires_at": NOW + timedelta(days=31)}, {}),
        ({"expires_at": NOW + timedelta(days=29)}, {"key.expiring": Severity.LOW}),
        ({"expires_at": NOW + timedelta(days=6)}, {"key.expiring": Severity.MEDIUM}),
        ({"expires_at": NOW + timedelta(hours=6)}, {"key.expiring": Severity.HIGH}),
        ({"expires_at": NOW - timedelta(hours=6)}, {}),
        ({"expires_at": NOW + timedelta(hours=6), "is_replaced": True}, {}),
        ({"denied": 19}, {}),
        ({"denied": 20}, {"key.scope_denied_burst": Severity.HIGH}),
        ({"limited": 99}, {}),
        ({"limited": 100}, {"key.rate_limited": Severity.MEDIUM}),
        ({"denied": 50, "revoked_at": NOW - timedelta(days=9)}, {}),
        ({"networks": [("192.0.2.0/24", day(0))]}, {}),
        ({"networks": [("192.0.2.0/24", day(90)), ("198.51.100.0/24", day(30))]}, {}),
        (
            {"networks": [("192.0.2.0/24", day(90)), ("198.51.100.0/24", day(1))]},
            {"key.new_network": Severity.MEDIUM},
        ),
        ({"networks": [("192.0.2.0/24", day(1)), ("198.51.100.0/24", day(1))]}, {}),
    ],
)
def test_unusual_use_of_a_key_opens_an_alert(
    options: dict[str, Any], expected: dict[str, Severity]
) -> None:
    key = replace(Key(key_id="abc", name="ci", created_at=LONG_AGO, created_by="user:x"), **options)
    assert opened(AccountPosture(NOW, [key])) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, set()),
        ({"given_up": "the endpoint returned 410"}, {"webhook.disabled"}),
        ({"failures": 9}, set()),
        ({"failures": 2, "is_digest": True}, set()),
        ({"failures": 3, "is_digest": True}, {"digest.failed"}),
    ],
)
def test_failing_channel_opens_an_alert(options: dict[str, Any], expected: set[str]) -> None:
    channel = replace(
        Channel(id="chan_x", name="ops", kind="email", is_digest=False, failures=0), **options
    )
    assert set(opened(AccountPosture(NOW, (), [channel]))) == expected


@pytest.mark.parametrize(("minutes", "expected"), [(59, set()), (60, {"sink.failing"})])
def test_sink_that_fails_for_an_hour_opens_an_alert(minutes: int, expected: set[str]) -> None:
    since = NOW - timedelta(minutes=minutes)
    sink = Sink(id="sink_x", name="SIEM", failing_since=since, failure="the connection failed")
    assert set(opened(AccountPosture(NOW, sinks=[sink]))) == expected
