"""Status changes of alerts by users and by time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from app import ids
from app.checks.engine.types import Severity
from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound, PreconditionFailed
from app.models import Alert, Domain
from app.rules.engine.types import AlertDraft
from app.services.alerts import alerts, transitions
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.alerts.transitions import Sighting
from tests.support.factories import ACTOR, make_account, make_domain

pytestmark = pytest.mark.usefixtures("database")


def open_alert(account_id: UUID, domain: Domain, type: str = "spf.missing") -> UUID:
    """Open an alert as a scan does."""
    draft = AlertDraft(
        type=type, subject=domain.name, severity=Severity.HIGH, title="title", message="message"
    )
    with transaction() as session:
        (alert_id,) = transitions.open_alert(session, domain, [draft], Sighting(datetime.now(UTC)))
    return alert_id


@pytest.fixture
def account_id() -> UUID:
    return make_account().id


@pytest.fixture
def alert_id(account_id: UUID) -> UUID:
    return open_alert(account_id, make_domain(account_id, "acme.test"))


def test_duplicate_alert_is_opened_only_once(account_id: UUID, alert_id: UUID) -> None:
    rows, _ = alerts.listing(account_id, AlertFilter()).page(None, 50)
    with transaction() as session:
        domain = session.get_one(Domain, rows[0].domain_id)
        draft = AlertDraft(
            type="spf.missing",
            subject="acme.test",
            severity=Severity.HIGH,
            title="title",
            message="message",
        )
        assert transitions.open_alert(session, domain, [draft], Sighting(datetime.now(UTC))) == []
    assert len(alerts.history(account_id, alert_id)) == 1


@pytest.mark.parametrize("status", ["acknowledged", "dismissed", "open"])
def test_history_has_actor_and_note_of_a_status_change(
    account_id: UUID, alert_id: UUID, status: str
) -> None:
    changed = alerts.change(account_id, alert_id, AlertChange(status, "why"), actor=ACTOR)
    last = alerts.history(account_id, alert_id)[-1]
    assert changed.status == status
    assert (last.to_status, last.actor, last.note) == (status, ACTOR, "why")


def test_snoozed_alert_reopens_when_the_snooze_expires(account_id: UUID, alert_id: UUID) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    alerts.change(account_id, alert_id, AlertChange("snoozed", None, until), actor=ACTOR)
    assert alerts.reopen_snoozed() == 0
    with transaction() as session:
        session.execute(update(Alert).values(snoozed_until=now(session) - timedelta(seconds=1)))
    assert alerts.reopen_snoozed() == 1
    alert = alerts.find(account_id, alert_id)
    assert (alert.status, alert.snoozed_until) == ("open", None)


@pytest.mark.parametrize(
    "change",
    [
        AlertChange("snoozed"),
        AlertChange("snoozed", None, datetime(2020, 1, 1, tzinfo=UTC)),
        AlertChange("open", None, datetime(2099, 1, 1, tzinfo=UTC)),
    ],
)
def test_snooze_requires_a_time_in_the_future(
    account_id: UUID, alert_id: UUID, change: AlertChange
) -> None:
    with pytest.raises(InvalidRequest):
        alerts.change(account_id, alert_id, change, actor=ACTOR)


def test_change_with_an_outdated_version_is_refused(account_id: UUID, alert_id: UUID) -> None:
    stale = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(PreconditionFailed):
        alerts.change(
            account_id, alert_id, AlertChange("acknowledged"), actor=ACTOR, expected=stale
        )


def test_alert_of_another_account_is_not_found(alert_id: UUID) -> None:
    other = make_account().id
    with pytest.raises(NotFound):
        alerts.find(other, alert_id)
    with pytest.raises(NotFound):
        alerts.history(other, alert_id)
    with pytest.raises(NotFound):
        alerts.change(other, alert_id, AlertChange("dismissed"), actor=ACTOR)


def test_bulk_change_returns_the_outcome_of_each_alert(account_id: UUID, alert_id: UUID) -> None:
    foreign_account = make_account().id
    foreign = open_alert(foreign_account, make_domain(foreign_account, "other.test"))
    requested = [ids.public("alert", alert_id), ids.public("alert", foreign), "nonsense"]
    changed = alerts.change_many(account_id, requested, AlertChange("acknowledged"), actor=ACTOR)
    assert [result.error.code if result.error else None for result in changed.results] == [
        None,
        "not_found",
        "not_found",
    ]
    assert (changed.changed_count, changed.rejected_count) == (1, 2)
    assert alerts.find(foreign_account, foreign).status == "open"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (AlertFilter(), 2),
        (AlertFilter(domain="acme.test"), 1),
        (AlertFilter(type="dmarc.missing"), 1),
        (AlertFilter(severity="high"), 2),
        (AlertFilter(severity="low"), 0),
        (AlertFilter(status="resolved"), 0),
        (AlertFilter(to_at=datetime(2020, 1, 1, tzinfo=UTC)), 0),
        (AlertFilter(from_at=datetime(2020, 1, 1, tzinfo=UTC)), 2),
    ],
)
def test_a_list_is_filtered(
    account_id: UUID, alert_id: UUID, filters: AlertFilter, count: int
) -> None:
    open_alert(account_id, make_domain(account_id, "other.test"), "dmarc.missing")
    assert len(alerts.listing(account_id, filters).page(None, 50)[0]) == count
