"""The limit of outstanding queries at one resolver."""

from app.network.dns.outstanding import (
    ANSWERS_PER_SLOT,
    BURST_DOMAINS,
    MINIMUM,
    OUTCOMES,
    START,
    OutstandingLimit,
)

MAXIMUM = 480


def used_limit(maximum: int = MAXIMUM) -> OutstandingLimit:
    """A limit of which every place is taken."""
    limit = OutstandingLimit(maximum)
    limit.outstanding = limit.current
    return limit


def fail(limit: OutstandingLimit, *domains: str) -> None:
    """A failure of each of these domains in the current round."""
    round = limit.round
    for domain in domains:
        limit.note_failure(domain, round)


def burst(limit: OutstandingLimit) -> None:
    """Failures of enough domains at once."""
    fail(limit, *(f"d{number}.test" for number in range(BURST_DOMAINS)))


def test_limit_starts_at_its_maximum_if_that_is_lower() -> None:
    assert OutstandingLimit(MAXIMUM).current == START
    assert OutstandingLimit(10).current == 10


def test_answers_raise_a_used_limit_to_its_maximum() -> None:
    limit = used_limit()
    for _ in range(ANSWERS_PER_SLOT):
        limit.note_answer()
    assert limit.current == START + 1
    for _ in range(ANSWERS_PER_SLOT * MAXIMUM):
        limit.outstanding = limit.current
        limit.note_answer()
    assert limit.current == MAXIMUM


def test_answers_do_not_raise_a_limit_that_is_not_used() -> None:
    limit = OutstandingLimit(MAXIMUM)
    for _ in range(1_000):
        limit.note_answer()
    assert limit.current == START


def test_burst_halves_the_limit_once_and_never_below_the_minimum() -> None:
    limit = used_limit()
    fail(limit, *(f"d{number}.test" for number in range(3 * BURST_DOMAINS)))
    assert (limit.current, limit.round) == (START // 2, 1)
    for _ in range(10):
        burst(limit)
    assert limit.current == MINIMUM


def test_failures_of_few_domains_are_no_burst() -> None:
    limit = used_limit()
    fail(limit, *("a.test", "b.test", "c.test") * 100)
    assert (limit.current, limit.round) == (START, 0)


def test_rare_failures_are_no_burst() -> None:
    limit = OutstandingLimit(MAXIMUM)
    for number in range(100):
        fail(limit, f"d{number}.test")
        for _ in range(OUTCOMES // BURST_DOMAINS):
            limit.note_answer()
    assert limit.current == START


def test_limit_rises_slowly_after_a_burst() -> None:
    limit = used_limit()
    burst(limit)
    for _ in range(START // 2):
        limit.outstanding = limit.current
        limit.note_answer()
    assert limit.current == START // 2 + 1


def test_limit_is_restored_if_repeated_queries_fail_again() -> None:
    limit = used_limit()
    burst(limit)
    for _ in range(BURST_DOMAINS):
        limit.note_repetition(is_answered=False)
    assert limit.current == START


def test_limit_is_not_restored_if_a_repeated_query_is_answered() -> None:
    limit = used_limit()
    burst(limit)
    limit.note_repetition(is_answered=True)
    for _ in range(BURST_DOMAINS):
        limit.note_repetition(is_answered=False)
    assert limit.current == START // 2
