"""Who reports, who has stopped, and the days of which nobody told."""

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail.reporters import DAY, LAG, MIN_REPORTS, SILENCE_FACTOR, gaps, reporters

START = 480_000  # an hour that begins a day

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
def test_nobodys_messages_are_lost_and_the_most_come_first(
    rows: list[tuple[str, int, int]],
) -> None:
    found = reporters(rows, START + 100 * DAY)
    assert {one.name: one.messages for one in found} == {
        name: sum(row[2] for row in rows if row[0] == name) for name in {row[0] for row in rows}
    }
    assert [one.messages for one in found] == sorted((one.messages for one in found), reverse=True)
    for one in found:
        hours = [hour for name, hour, _ in rows if name == one.name]
        assert (one.first, one.last) == (min(hours), max(hours))
        assert one.days == len({hour // DAY for hour in hours})


@given(HOURS, st.integers(0, 400 * DAY))
def test_who_has_stopped_was_never_as_long_silent_before(hours: list[int], later: int) -> None:
    seen = sorted(set(hours))
    now = seen[-1] + later
    (one,) = reporters([("a.test", hour, 1) for hour in hours], now)
    steps = [b - a for a, b in pairwise(seen)]
    if len(seen) < MIN_REPORTS:
        assert (one.typical_interval, one.has_stopped) == (None, False)
        return
    assert one.typical_interval == round(median(steps))
    assert one.has_stopped == (
        later - LAG > max(SILENCE_FACTOR * max(one.typical_interval, DAY), max(steps))
    )


@given(HOURS, st.integers(0, 400 * DAY), st.integers(0, 100))
def test_who_has_stopped_has_stopped_until_it_reports(
    hours: list[int], later: int, more: int
) -> None:
    rows = [("a.test", hour, 1) for hour in hours]
    (then,) = reporters(rows, max(hours) + later)
    (after,) = reporters(rows, max(hours) + later + more)
    assert after.has_stopped or not then.has_stopped


@pytest.mark.parametrize(
    ("rows", "silent_days", "has_stopped"),
    [
        (daily(10), 5, False),  # three days of silence, and two that reports take
        (daily(10), 6, True),
        (daily(3), 60, False),  # too few to know its rhythm
        (daily(8, step=7 * DAY), 23, False),
        (daily(8, step=7 * DAY), 24, True),
        (daily(24, step=1), 5, False),  # hourly reports are not missed after three hours
        ([*daily(10), ("a.test", START + 12 + 29 * DAY, 1)], 15, False),  # it has paused before
    ],
)
def test_a_reporter_has_stopped_after_three_usual_intervals(
    rows: list[tuple[str, int, int]], silent_days: int, has_stopped: bool
) -> None:
    last = max(hour for _, hour, _ in rows)
    (one,) = reporters(rows, last + silent_days * DAY)
    assert one.has_stopped is has_stopped


@given(HOURS)
def test_gaps_are_the_days_between_that_have_nothing(hours: list[int]) -> None:
    days = {hour // DAY for hour in hours}
    missing = {day for start, end in gaps(hours) for day in range(start, end)}
    assert missing == set(range(min(days), max(days) + 1)) - days
    assert all(start < end for start, end in gaps(hours))


def test_nothing_has_no_gaps() -> None:
    assert list(gaps([])) == []
    assert reporters([], START) == []


PERIODS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 1, 7])), max_size=12)


@given(PERIODS, st.integers(0, 60))
def test_a_report_over_several_days_is_one_report(told: list[tuple[int, int]], later: int) -> None:
    """Periods of whole days one after another, with days between that nobody told of."""
    ends, rows, within, day = [], [], set[int](), 0
    for pause, length in told:
        day += pause
        hours = [START + 12 + (day + one) * DAY for one in range(length)]
        rows += [("a.test", hour, 1) for hour in hours]
        within |= set(hours[:-1])
        ends.append(hours[-1])
        day += length
    now = START + 12 + (day - 1 + later) * DAY
    found = reporters(rows, now, {"a.test": within})
    if not told:
        assert found == []
        return
    [one] = found
    steps = [b - a for a, b in pairwise(ends)]
    usual = round(median(steps)) if len(ends) >= MIN_REPORTS else None
    assert (one.messages, one.days) == (len(rows), len(rows))
    assert (one.first, one.last, one.typical_interval) == (rows[0][1], ends[-1], usual)
    assert one.has_stopped == (
        usual is not None and now - ends[-1] - LAG > max(SILENCE_FACTOR * max(usual, DAY), *steps)
    )
