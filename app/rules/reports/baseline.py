"""Compares the email of the last days with that of the weeks before, for the same reporters. Pure.

A reporter that starts or stops reporting changes what we know about the email, not the email. So
the comparison uses only reporters that reported in both periods, and for a week in the earlier
one. As each reporter sees a different mix of email, the usual rate is weighted by the number of
messages that each reports now.
"""

from dataclasses import dataclass

from app.rules.reports.posture import Volume

MIN_MESSAGES = 50
MIN_BASELINE = 200  # messages; with fewer a baseline means nothing
MIN_DAYS = 7  # that a baseline must cover


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two periods of the same reporters.

    usual_rate    the pass rate to expect now if each reporter's rate were as before
    is_passed_on  whether forwarders sent at least half of the additional failures
    """

    recent: Volume
    before: Volume
    usual_rate: float
    is_passed_on: bool


def compare(recent: Volume, before: Volume) -> Comparison | None:
    """Return both periods for the reporters that they share; None if there is too little data."""
    last = max(before.days, default=0)
    same = [
        name
        for name, days in before.reporters.items()
        if name in recent.reporters and min(days) <= last - MIN_DAYS + 1
    ]
    now, usual = recent.of(same), before.of(same)
    if now.messages < MIN_MESSAGES or usual.messages < MIN_BASELINE or len(usual.days) < MIN_DAYS:
        return None
    passing = sum(now.of([name]).messages * usual.of([name]).pass_rate for name in same)
    return Comparison(
        recent=now,
        before=usual,
        usual_rate=passing / now.messages,
        is_passed_on=_is_passed_on(recent, before),
    )


def _is_passed_on(recent: Volume, before: Volume) -> bool:
    ratio = len(recent.days) / len(before.days)
    passed_on = recent.passed_on - before.passed_on * ratio
    return passed_on > 0 and 2 * passed_on >= recent.failed - before.failed * ratio
