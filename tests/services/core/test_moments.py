"""Both databases compare times as Python does, and what expires ends at that instant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, func, insert, literal, select, update
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.db.types import UtcDateTime
from app.models import (
    Alert,
    BrowserSession,
    DailyIngestUsage,
    Invitation,
    RefusalCount,
    ReportFile,
    ShareLink,
)
from app.services.accounts import accounts
from app.services.alerts import alerts
from app.services.domain_status import share_links
from app.services.filing import claims
from app.services.ingest import files
from app.services.monitoring import account_monitor
from app.services.operations import retention_rules
from app.services.sign_in import sessions
from tests.support.factories import make_account, make_domain, make_key
from tests.support.moments import moments
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.usefixtures("database")

INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
at_moments = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def is_true(table: Any, condition: ColumnElement[bool]) -> bool:
    """Whether the only row of the table satisfies the condition."""
    with transaction(readonly=True) as session:
        return bool(session.scalar(select(func.count()).select_from(table).where(condition)))


@at_moments
@given(first=moments(), second=moments(), distance=st.sampled_from([-INSTANT, INSTANT, SECOND]))
def test_times_are_stored_and_compared_exactly(
    first: datetime, second: datetime, distance: timedelta
) -> None:
    for other in (second, first, first + distance):
        left, right = literal(first, UtcDateTime), literal(other, UtcDateTime)
        with transaction(readonly=True) as session:
            row = session.execute(select(left, left < right, left <= right, left == right)).one()
        assert row[0] == first
        assert tuple(map(bool, row[1:])) == (first < other, first <= other, first == other)


@dataclass(frozen=True, slots=True)
class Expiry:
    """A column with a time, and when rows satisfy a condition.

    begins  how long after the time of the column the condition is true for the first time
    values  other columns that are set
    """

    column: Any
    condition: Callable[[datetime], ColumnElement[bool]]
    begins: timedelta = timedelta(0)
    values: tuple[tuple[str, Any], ...] = ()


def retained(name: str) -> Callable[[datetime], ColumnElement[bool]]:
    """The condition of the retention rule with this name."""
    (rule,) = (rule for rule in retention_rules.RULES if rule.name == name)
    return lambda now: retention_rules.rows(rule, now)


EXPIRIES = {
    "share link": Expiry(ShareLink.expires_at, lambda now: ~share_links.is_valid(now)),
    "session": Expiry(BrowserSession.expires_at, sessions.has_expired),
    "idle session": Expiry(BrowserSession.last_seen_at, sessions.has_expired, sessions.IDLE),
    "snooze": Expiry(Alert.snoozed_until, alerts.is_due_again, values=(("status", "snoozed"),)),
    "accepted risk": Expiry(
        Alert.accepted_until, alerts.is_due_again, values=(("status", "dismissed"),)
    ),
    "retention of share links": Expiry(
        ShareLink.expires_at,
        retained("share_links"),
        retention_rules.SHARE_LINK_RETENTION + INSTANT,
    ),
    "retention of sessions": Expiry(BrowserSession.expires_at, retained("sessions"), INSTANT),
    "retention of invitations": Expiry(
        Invitation.expires_at,
        retained("invitations"),
        retention_rules.INVITATION_RETENTION + INSTANT,
    ),
    "retention of refusals": Expiry(
        RefusalCount.hour,
        retained("refusal_counts"),
        retention_rules.REFUSAL_COUNTS_RETENTION + INSTANT,
    ),
}


@pytest.fixture
def account_id(database: Engine) -> UUID:
    """An account with one row of each table; no row expires by the other times."""
    account = make_account()
    domain = make_domain(account.id)
    user, _ = accounts.add_user(account.name, "ann@acme.test", role="owner")
    make_key(account.id)
    account_monitor.check_accounts()  # opens an alert about the key
    late, digest = datetime(2300, 1, 1, tzinfo=UTC), bytes(32)
    link = {"domain_id": domain.id, "digest": digest, "created_by": "ann", "expires_at": late}
    session_row = {"id": digest, "user_id": user.id, "last_seen_at": late, "expires_at": late}
    invitation = {"email": "bob@acme.test", "role": "member", "digest": digest}
    rows: dict[Any, dict[str, Any]] = {
        ShareLink: link,
        BrowserSession: session_row,
        Invitation: {**invitation, "invited_by": "ann", "expires_at": late},
        RefusalCount: {"hour": late, "key": digest},
        DailyIngestUsage: {"day": late.date()},
    }
    with transaction() as session:
        for table, row in rows.items():
            session.execute(insert(table).values(account_id=account.id, **row))
        session.execute(update(Alert).values(snoozed_until=None, accepted_until=None))
    return account.id


@pytest.mark.usefixtures("account_id")
@pytest.mark.parametrize("name", EXPIRIES)
@at_moments
@given(at=moments())
def test_what_expires_ends_at_its_instant(name: str, at: datetime) -> None:
    expiry = EXPIRIES[name]
    table = expiry.column.class_
    with transaction() as session:
        values = {expiry.column.key: at, **dict(expiry.values)}
        session.execute(update(table).values(values))
    first = at + expiry.begins
    assert not is_true(table, expiry.condition(first - INSTANT))
    assert is_true(table, expiry.condition(first))


@pytest.mark.usefixtures("account_id")
@at_moments
@given(now=moments())
@example(now=datetime(2026, 5, 30, tzinfo=UTC))  # from 1 March, over a month of 31 days
def test_the_figures_of_a_day_stay_for_whole_days(now: datetime) -> None:
    condition = retained("daily_ingest_usage")
    oldest = now.date() - retention_rules.INGEST_USAGE_RETENTION
    with transaction() as session:
        session.execute(update(DailyIngestUsage).values(day=oldest))
    midnight = datetime.combine(now.date(), time(), UTC) + DAY
    assert not is_true(DailyIngestUsage, condition(now))
    assert not is_true(DailyIngestUsage, condition(midnight - INSTANT))
    assert is_true(DailyIngestUsage, condition(midnight))


@pytest.fixture
def file_id(database: Engine) -> UUID:
    return files.store(make_account().id, dmarc_xml(), received_via="http").file.id


@pytest.mark.usefixtures("file_id")
@at_moments
@given(until=moments())
def test_a_lease_ends_at_its_instant(until: datetime) -> None:
    with transaction() as session:
        session.execute(update(ReportFile).values(lease_until=until))
    with transaction(readonly=True) as session:
        before, after = (claims.LEASES.is_free(session, at) for at in (until - INSTANT, until))
    assert not is_true(ReportFile, before)
    assert is_true(ReportFile, after)
