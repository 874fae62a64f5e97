"""Schedules, limits of a day and expiries at the edges of hours, days, months and years."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.models import ApiKey
from app.models.domains import PERIODS
from app.rules.accounts import acceptances
from app.rules.accounts.acceptances import AcceptedRisk, AcceptedRisks
from app.services.ingest import budgets
from app.services.notifications import feed
from app.services.scans import runner
from app.web.base import dates, filters
from tests.support.moments import ZONES, moments

INSTANT = timedelta(microseconds=1)
NEAR = st.sampled_from(
    [sign * span for span in (INSTANT, timedelta(seconds=1), timedelta(days=1)) for sign in (-1, 1)]
)


@given(now=moments())
@pytest.mark.parametrize(("cadence", "days"), [("daily", 1), ("weekly", 7)])
def test_the_next_digest_is_at_its_hour_and_within_its_period(
    cadence: str, days: int, now: datetime
) -> None:
    due = feed.next_digest(cadence, now)
    assert due is not None
    assert timedelta(0) < due - now <= timedelta(days=days)
    assert (due.hour, due.minute, due.second, due.microsecond) == (feed.DIGEST_HOUR, 0, 0, 0)
    assert cadence == "daily" or due.weekday() == 0
    assert feed.next_digest(cadence, due - INSTANT) == due
    assert feed.next_digest(cadence, due) == due + timedelta(days=days)


@given(due_at=moments(), late=st.timedeltas(timedelta(0), timedelta(days=400)))
@pytest.mark.parametrize("schedule", PERIODS)
def test_a_scan_stays_on_its_schedule_after_any_delay(
    schedule: str, due_at: datetime, late: timedelta
) -> None:
    period, now = PERIODS[schedule], due_at + late
    following = runner.following(due_at, period, now)
    assert timedelta(0) < following - now <= period
    assert (following - due_at) % period == timedelta(0)


@given(now=moments())
@example(datetime(2026, 12, 31, 23, 59, 30, 900_000, tzinfo=UTC))
def test_a_daily_limit_is_refused_until_the_next_day(now: datetime) -> None:
    left = budgets.seconds_left(now)
    assert 1 <= left <= 86_400
    day = now.date()
    assert (now + timedelta(seconds=left)).date() == day + timedelta(days=1)
    assert (now + timedelta(seconds=left - 1)).date() == day


@given(expires_at=moments(), near=NEAR)
def test_a_key_is_usable_until_the_instant_of_its_expiry(
    expires_at: datetime, near: timedelta
) -> None:
    key = ApiKey(expires_at=expires_at, revoked_at=None)
    assert not key.is_usable(expires_at)
    assert key.is_usable(expires_at + near) == (near < timedelta(0))
    assert key.status(expires_at) == "expired"
    assert ApiKey(expires_at=None, revoked_at=None).is_usable(expires_at)


@given(until=moments(), near=NEAR)
def test_the_end_of_an_accepted_risk_is_announced_two_weeks_before(
    until: datetime, near: timedelta
) -> None:
    (rule,) = acceptances.RULES
    now = until - acceptances.NOTICE + near
    risk = AcceptedRisk(id="alert_1", type="t", title="T", owner=None, until=until)
    alerts = list(rule.evaluate(AcceptedRisks(now, [risk])) or ())
    assert len(alerts) == (near > timedelta(0))


@given(now=moments(), zone=ZONES, days=st.sampled_from([1, 7, 30, 90]))
def test_the_first_day_of_a_period_is_a_day_that_its_filter_accepts(
    now: datetime, zone: ZoneInfo, days: int
) -> None:
    start = dates.parse_day(str(dates.first_of_last(days, zone, now)), zone)
    assert start is not None
    assert timedelta(days=days - 1, hours=-3) <= now - start < timedelta(days=days, hours=3)


@given(now=moments(), span=st.timedeltas(timedelta(0), timedelta(days=800)))
def test_a_time_from_now_is_rounded_down_and_never_in_the_wrong_direction(
    now: datetime, span: timedelta
) -> None:
    past, future = filters.ago(now - span, now), filters.ago(now + span, now)
    assert past == "just now" or past.endswith(" ago")
    assert future in ("just now", "in a moment") or future.startswith("in ")
    assert future.removeprefix("in ") == past.removesuffix(" ago") or span < timedelta(minutes=1)


@given(now=moments(), at=moments())
def test_a_day_of_another_year_has_its_year(now: datetime, at: datetime) -> None:
    text = filters.local_day(at, now)
    assert text.endswith(str(at.year)) == (at.year != now.year)
    assert text.startswith(f"{at.day} ")
