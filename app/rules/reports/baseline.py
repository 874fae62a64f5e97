"""The last days' mail beside that of the weeks before, as the same reporters told of both. Pure.

Who begins to report, or stops, changes what is known of the mail, and not the mail. So only those
are compared who told of mail in both times, and for a week before; and as each of them has mail of
its own kind, what is usual is weighted by how much each tells now.
"""

from dataclasses import dataclass

from app.rules.reports.posture import Volume

MIN_MESSAGES = 50
MIN_BASELINE = 200  # messages, before a baseline means anything
MIN_DAYS = 7  # of a baseline


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two times of the same reporters.

    usual_rate    what would pass now if of each reporter's mail as much did as before
    is_passed_on  of what fails more than before, forwarders passed on at least half
    """

    recent: Volume
    before: Volume
    usual_rate: float
    is_passed_on: bool


def compare(recent: Volume, before: Volume) -> Comparison | None:
    """Both by the same reporters; None: there is too little to compare."""
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
    return Comparison(now, usual, passing / now.messages, _is_passed_on(recent, before))


def _is_passed_on(recent: Volume, before: Volume) -> bool:
    part = len(recent.days) / len(before.days)
    passed_on = recent.passed_on - before.passed_on * part
    return passed_on > 0 and 2 * passed_on >= recent.failed - before.failed * part
