"""The exit statuses of the command; README.md has them as a table."""

from collections.abc import Iterable
from enum import IntEnum

from mailwatch.formats.severities import Threshold, reaches


class Exit(IntEnum):
    """Why the command ended."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    REFUSED = 3
    UNDETERMINED = 4


def status(
    severities: Iterable[str], threshold: Threshold | None, *, is_undetermined: bool
) -> Exit:
    """Return the exit status for findings of these severities.

    is_undetermined  whether something could not be determined; findings are more important
    """
    if threshold and any(reaches(severity, threshold) for severity in severities):
        return Exit.FINDINGS
    return Exit.UNDETERMINED if is_undetermined else Exit.OK
