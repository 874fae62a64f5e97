"""Which compliance profiles a domain has passed before, over scans.

The state of a domain is a list of words: ``<profile>:<status>`` for the last result, and
``<profile>:passed`` while an earlier pass still counts.
"""

from collections.abc import Collection, Iterable, Sequence
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
    results: Iterable[ProfileResult], words: Collection[str], followed_ids: Collection[str]
) -> ProfileState:
    """Return the state after a scan.

    An undetermined result keeps an earlier pass. A failure does so only if the account follows the
    profile, so that a profile that was lost long ago does not count as lost when it is followed.

    words  those of the state before the scan
    """
    stored: list[str] = []
    followed = []
    for result in results:
        id = result.profile.id
        is_followed = id in followed_ids
        has_passed = word(id, Status.PASS) in words or word(id, _PASSED) in words
        stored.append(word(id, result.status))
        is_failure = result.status is Status.FAIL
        if has_passed and result.status is not Status.PASS and (is_followed or not is_failure):
            stored.append(word(id, _PASSED))
        if is_followed:
            followed.append(FollowedResult(result, is_lost=is_failure and has_passed))
    return ProfileState(stored, followed)
