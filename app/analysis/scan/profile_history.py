"""Which compliance profiles a domain has passed before, over scans.

The state of a domain is a list of words: ``<profile>:<status>`` for the last result, and
``<profile>:passed`` while an earlier pass still counts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.analysis.scan.profiles import ProfileResult, Status

_PASSED = "passed"


@dataclass(frozen=True, slots=True)
class FollowedResult:
    """The result of a profile that the account follows.

    is_lost  it fails, and the domain passed it before
    """

    result: ProfileResult
    is_lost: bool


@dataclass(frozen=True, slots=True)
class ProfileState:
    """The state of a domain after a scan: the words to store, and the followed profiles."""

    words: Sequence[str]
    followed: Sequence[FollowedResult]


def word(profile_id: str, status: str) -> str:
    """Return the word for the last result of a profile."""
    return f"{profile_id}:{status}"


def advance(
    statuses: Mapping[str, Status], words: Collection[str], followed: Iterable[ProfileResult]
) -> ProfileState:
    """Return the state after a scan.

    An undetermined result keeps an earlier pass. A failure does so only if the account follows the
    profile, so that a profile that was lost long ago does not count as lost when it is followed.

    statuses  of all profiles, by id
    words     those of the state before the scan
    followed  the results of the profiles that the account follows
    """
    results = {result.profile.id: result for result in followed}
    stored: list[str] = []
    advanced = []
    for id, status in statuses.items():
        result = results.get(id)
        has_passed = word(id, Status.PASS) in words or word(id, _PASSED) in words
        stored.append(word(id, status))
        is_failure = status is Status.FAIL
        if has_passed and status is not Status.PASS and (result or not is_failure):
            stored.append(word(id, _PASSED))
        if result:
            advanced.append(FollowedResult(result, is_lost=is_failure and has_passed))
    return ProfileState(stored, advanced)
