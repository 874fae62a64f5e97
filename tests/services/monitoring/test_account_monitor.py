"""Account alerts, which the clock process evaluates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app import ids
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Alert, ApiKey, ApiKeyAddress, Channel
from app.rules.engine.types import AlertDraft
from app.services.alerts import alerts, transitions
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.alerts.transitions import Sighting
from app.services.api_keys import api_keys, usage
from app.services.monitoring import account_monitor
from app.services.notifications import channels
from tests.support.factories import ACTOR, add_email_channel, make_account, make_domain, make_key

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def account_id() -> UUID:
    return make_account().id


@pytest.fixture
def alert_id(account_id: UUID) -> UUID:
    domain = make_domain(account_id, "acme.test")
    draft = AlertDraft(
        type="spf.missing",
        subject=domain.name,
        severity=Severity.HIGH,
        title="title",
        message="message",
    )
    with transaction() as session:
        (opened,) = transitions.open_alert(session, domain, [draft], Sighting(datetime.now(UTC)))
    return opened


def open_alerts(account_id: UUID) -> dict[str, Any]:
    rows, _ = alerts.listing(account_id, AlertFilter(status="open")).page(None, 50)
    return {row.type: row for row in rows}


def backdate(**columns: timedelta) -> None:
    """Move these times of every alert into the past."""
    with transaction() as session:
        values = {name: datetime.now(UTC) - ago for name, ago in columns.items()}
        session.execute(update(Alert).values(**values))


def test_new_key_opens_an_alert_of_the_account(account_id: UUID) -> None:
    key, _ = make_key(account_id)
    account_monitor.check_accounts()
    account_monitor.check_accounts()
    alert = open_alerts(account_id)["key.created"]
    assert (alert.domain_id, alert.domain_name) == (None, None)
    assert alert.subject == f"mp_{key.key_id}"
    assert len(alerts.history(account_id, alert.id)) == 1


def test_revoked_key_opens_an_alert(account_id: UUID) -> None:
    key, _ = make_key(account_id)
    api_keys.revoke(account_id, key.key_id, actor=ACTOR)
    account_monitor.check_accounts()
    assert "key.revoked" in open_alerts(account_id)


def test_key_with_many_denied_calls_opens_an_alert(account_id: UUID) -> None:
    key, _ = make_key(account_id)
    for _ in range(20):
        usage.record(key.id, "GET /v1/alerts", 403, "192.0.2.1")
    usage.flush()
    account_monitor.check_accounts()
    assert open_alerts(account_id)["key.scope_denied_burst"].evidence["observed"] == 20


def test_key_used_in_a_new_network_opens_an_alert(account_id: UUID) -> None:
    key, _ = make_key(account_id)
    moment = datetime.now(UTC)
    with transaction() as session:
        for address, days in (("192.0.2.1", 60), ("192.0.2.9", 1), ("2001:db8:1::1", 1)):
            at = moment - timedelta(days=days)
            session.add(
                ApiKeyAddress(
                    api_key_id=key.id, day=at.date(), address=address, count=1, last_at=at
                )
            )
    account_monitor.check_accounts()
    evidence = open_alerts(account_id)["key.new_network"].evidence
    assert (evidence["before"], evidence["after"]) == (["192.0.2.0/24"], ["2001:db8:1::/48"])


def test_account_alert_is_not_visible_to_other_accounts(account_id: UUID) -> None:
    make_key(account_id)
    other = make_account().id
    account_monitor.check_accounts()
    assert open_alerts(other) == {}


def test_disabled_channel_has_an_alert_until_it_is_enabled(account_id: UUID) -> None:
    channel = add_email_channel(account_id, "ops", "a@acme.test")
    with transaction() as session:
        channels.give_up(session, session.get_one(Channel, channel.id), "the endpoint returned 410")
    account_monitor.check_accounts()
    assert "webhook.disabled" in open_alerts(account_id)
    channels.enable(account_id, "ops", actor=ACTOR)
    account_monitor.check_accounts()
    assert "webhook.disabled" not in open_alerts(account_id)


def test_open_alert_is_reminded_every_week(account_id: UUID, alert_id: UUID) -> None:
    assert account_monitor.remind() == 0
    backdate(first_seen_at=timedelta(days=8), reminded_at=timedelta(days=8))
    assert account_monitor.remind() == 1
    assert account_monitor.remind() == 0
    last = alerts.history(account_id, alert_id)[-1]
    assert (last.type, last.from_status, last.to_status) == ("alert.reminded", "open", "open")
    assert last.note == "still open; first seen 8 days ago"


@pytest.mark.parametrize(
    ("type", "days", "count"),
    [
        ("dmarc.policy_none_standing", 29, 0),
        ("dmarc.policy_none_standing", 31, 1),
        ("tls_rpt.missing", 31, 0),
    ],
)
def test_only_the_unchanged_policy_is_reminded_at_low_severity(
    alert_id: UUID, type: str, days: int, count: int
) -> None:
    backdate(first_seen_at=timedelta(days=days), reminded_at=timedelta(days=days))
    with transaction() as session:
        session.execute(update(Alert).values(type=type, severity="low"))
    assert account_monitor.remind() == count


def test_acknowledged_alert_is_not_reminded(account_id: UUID, alert_id: UUID) -> None:
    alerts.change(account_id, alert_id, AlertChange("acknowledged"), actor=ACTOR)
    backdate(first_seen_at=timedelta(days=8), reminded_at=timedelta(days=8))
    assert account_monitor.remind() == 0


def accept(account_id: UUID, alert_id: UUID, days: float) -> Alert:
    until = datetime.now(UTC) + timedelta(days=days)
    change = AlertChange(
        status="dismissed",
        note="we retire it",
        snoozed_until=None,
        accepted_until=until,
        risk_owner="Ada",
    )
    return alerts.change(account_id, alert_id, change, actor=ACTOR)


def test_accepted_risk_opens_an_alert_two_weeks_before_it_expires(
    account_id: UUID, alert_id: UUID
) -> None:
    changed = accept(account_id, alert_id, 30)
    assert (changed.status, changed.risk_owner) == ("dismissed", "Ada")
    account_monitor.check_accepted_risks()
    assert open_alerts(account_id) == {}
    backdate(accepted_until=-timedelta(days=13))
    account_monitor.check_accepted_risks()
    alert = open_alerts(account_id)["acceptance.expiring"]
    assert alert.evidence["alertId"] == ids.public("alert", alert_id)
    assert alert.domain_name == "acme.test"
    accept(account_id, alert_id, 90)
    account_monitor.check_accepted_risks()
    assert open_alerts(account_id) == {}


def test_expired_accepted_risk_reopens_its_alert(account_id: UUID, alert_id: UUID) -> None:
    accept(account_id, alert_id, 30)
    backdate(accepted_until=timedelta(seconds=1))
    assert alerts.reopen_snoozed() == 1
    alert = alerts.find(account_id, alert_id)
    assert (alert.status, alert.accepted_until, alert.risk_owner) == ("open", None, None)


ACCEPTED = AlertChange(
    status="dismissed",
    note="why",
    snoozed_until=None,
    accepted_until=datetime(2099, 1, 1, tzinfo=UTC),
    risk_owner="Ada",
)


@pytest.mark.parametrize(
    "change",
    [
        replace(ACCEPTED, accepted_until=datetime(2020, 1, 1, tzinfo=UTC)),
        replace(ACCEPTED, note=None),
        replace(ACCEPTED, risk_owner=None),
        replace(ACCEPTED, status="acknowledged"),
        replace(ACCEPTED, accepted_until=None),
    ],
)
def test_accepted_risk_has_owner_reason_and_expiry(
    account_id: UUID, alert_id: UUID, change: AlertChange
) -> None:
    with pytest.raises(InvalidRequest):
        alerts.change(account_id, alert_id, change, actor=ACTOR)


def test_expiring_key_opens_an_alert(account_id: UUID) -> None:
    key, _ = make_key(account_id)
    with transaction() as session:
        soon = datetime.now(UTC) + timedelta(days=3)
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(expires_at=soon))
    account_monitor.check_accounts()
    assert open_alerts(account_id)["key.expiring"].severity == "medium"
