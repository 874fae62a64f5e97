"""Reporters, stopped reporters, and days without reports."""

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail.reporters import DAY, LAG, MIN_REPORTS, SILENCE_FACTOR, gaps, reporters

START = 480_000  # the first hour of a day

HOURS = st.lists(st.integers(START, START + 60 * DAY), min_size=1, max_size=30)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.test", "b.test"]),
        st.integers(START, START + 60 * DAY),
        st.integers(1, 1000),
    ),
    max_size=40,
)


def daily(days: int, step: int = DAY) -> list[tuple[str, int, int]]:
    return [("a.test", START + 12 + day * step, 5) for day in range(days)]


@given(ROWS)
def test_reporters_include_all_messages_in_descending_order(
    rows: list[tuple[str, int, int]],
) -> None:
    listed = reporters(rows, START + 100 * DAY)
    assert {reporter.name: reporter.messages for reporter in listed} == {
        name: sum(row[2] for row in rows if row[0] == name) for name in {row[0] for row in rows}
    }
    assert [reporter.messages for reporter in listed] == sorted(
        (reporter.messages for reporter in listed), reverse=True
    )
    for reporter in listed:
        hours = [hour for name, hour, _ in rows if name == reporter.name]
        assert (reporter.first, reporter.last) == (min(hours), max(hours))
        assert reporter.days == len({hour // DAY for hour in hours})


@given(HOURS, st.integers(0, 400 * DAY))
def test_stopped_reporter_was_never_silent_for_so_long_before(hours: list[int], later: int) -> None:
    unique_hours = sorted(set(hours))
    now = unique_hours[-1] + later
    (reporter,) = reporters([("a.test", hour, 1) for hour in hours], now)
    steps = [b - a for a, b in pairwise(unique_hours)]
    if len(unique_hours) < MIN_REPORTS:
        assert (reporter.typical_interval, reporter.has_stopped) == (None, False)
        return
    assert reporter.typical_interval == round(median(steps))
    assert reporter.has_stopped == (
        later - LAG > max(SILENCE_FACTOR * max(reporter.typical_interval, DAY), max(steps))
    )


@given(HOURS, st.integers(0, 400 * DAY), st.integers(0, 100))
def test_reporter_stays_stopped_until_it_reports_again(
    hours: list[int], later: int, more: int
) -> None:
    rows = [("a.test", hour, 1) for hour in hours]
    (then,) = reporters(rows, max(hours) + later)
    (after,) = reporters(rows, max(hours) + later + more)
    assert after.has_stopped or not then.has_stopped


@pytest.mark.parametrize(
    ("rows", "silent_days", "has_stopped"),
    [
        (daily(10), 5, False),  # three days of silence, and two days of reporting delay
        (daily(10), 6, True),
        (daily(3), 60, False),  # too few to estimate the interval
        (daily(8, step=7 * DAY), 23, False),
        (daily(8, step=7 * DAY), 24, True),
        (daily(24, step=1), 5, False),  # three hours of silence are not enough for hourly reports
        ([*daily(10), ("a.test", START + 12 + 29 * DAY, 1)], 15, False),  # it has paused before
    ],
)
def test_reporter_has_stopped_after_three_typical_intervals(
    rows: list[tuple[str, int, int]], silent_days: int, has_stopped: bool
) -> None:
    last = max(hour for _, hour, _ in rows)
    (reporter,) = reporters(rows, last + silent_days * DAY)
    assert reporter.has_stopped is has_stopped


@given(HOURS)
def test_gaps_are_days_without_messages_between_reports(hours: list[int]) -> None:
    days = {hour // DAY for hour in hours}
    missing = {day for start, end in gaps(hours) for day in range(start, end)}
    assert missing == set(range(min(days), max(days) + 1)) - days
    assert all(start < end for start, end in gaps(hours))


def test_no_reports_have_no_gaps() -> None:
    assert list(gaps([])) == []
    assert reporters([], START) == []


PERIODS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 1, 7])), max_size=12)


@given(PERIODS, st.integers(0, 60))
def test_report_over_several_days_counts_as_one_report(
    periods: list[tuple[int, int]], later: int
) -> None:
    """The reports cover consecutive periods of whole days, with gaps."""
    ends, rows, within, day = [], [], set[int](), 0
    for pause, length in periods:
        day += pause
        hours = [START + 12 + (day + reporter) * DAY for reporter in range(length)]
        rows += [("a.test", hour, 1) for hour in hours]
        within |= set(hours[:-1])
        ends.append(hours[-1])
        day += length
    now = START + 12 + (day - 1 + later) * DAY
    listed = reporters(rows, now, {"a.test": within})
    if not periods:
        assert listed == []
        return
    [reporter] = listed
    steps = [b - a for a, b in pairwise(ends)]
    usual = round(median(steps)) if len(ends) >= MIN_REPORTS else None
    assert (reporter.messages, reporter.days) == (len(rows), len(rows))
    assert (reporter.first, reporter.last, reporter.typical_interval) == (
        rows[0][1],
        ends[-1],
        usual,
    )
    assert reporter.has_stopped == (
        usual is not None and now - ends[-1] - LAG > max(SILENCE_FACTOR * max(usual, DAY), *steps)
    )
