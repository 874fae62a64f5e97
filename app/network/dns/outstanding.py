"""The limit of the queries that a resolver works on at the same time, which adapts to it.

The limit rises with the answers and is halved by a burst of failures, as TCP does with its
congestion window (RFC 5681 §3.1): resolvers answer SERVFAIL or REFUSED, or nothing, above a limit
of their own (docs/decisions/0070-outstanding-queries.md).
"""

START = 240  # queries that fit the socket buffer of a server that does not read yet (208 KiB)
MINIMUM = 32
CALM = 64  # queries that a resolver of any size can work on
BURST_DOMAINS = 4  # domains that fail in a burst: fewer may be broken themselves
BURST_SHARE = 8  # in a burst, at least one outcome of this number is a failure
OUTCOMES = 64  # after which failures are counted again from zero
ANSWERS_PER_SLOT = 4  # for each further query, as the server has read those before the answered one


class OutstandingLimit:
    """The number of unanswered queries at one server, and how many there may be.

    answers  the number of answers so far
    round    the number of bursts so far
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = self._slow_above = maximum
        self._minimum = min(MINIMUM, maximum)
        self._limit = min(START, maximum)
        self._before_burst: int | None = None
        self.outstanding = self.answers = self.round = 0
        self._growth = 0
        self._confirmed = 0
        self._reset_counts()

    @property
    def current(self) -> int:
        """The number of queries that may be outstanding now."""
        return self._limit

    @property
    def has_room(self) -> bool:
        """Whether another query may be sent."""
        return self.outstanding < self._limit

    @property
    def is_busy(self) -> bool:
        """Whether a small resolver may have too many queries."""
        return self.outstanding >= min(CALM, self._maximum)

    def note_answer(self) -> None:
        """Raise the limit by one after some answers, if it is used."""
        self.answers += 1
        self._count_outcome()
        if self._limit == self._maximum or self.outstanding * 2 < self._limit:
            return
        self._growth += 1
        if self._growth >= (ANSWERS_PER_SLOT if self._limit < self._slow_above else self._limit):
            self._growth = 0
            self._limit += 1

    def note_failure(self, domain: str, round: int) -> None:
        """Halve the limit if this failure is part of a burst.

        round  the round in which the query was sent; a burst that was noticed later includes it
        """
        if round < self.round:
            return
        self._count_outcome()
        self._failures += 1
        self._failed.add(domain)
        if len(self._failed) >= BURST_DOMAINS and self._failures * BURST_SHARE >= self._outcomes:
            self._before_burst, self._confirmed = self._limit, 0
            self._limit = self._slow_above = max(self._limit // 2, self._minimum)
            self.round += 1
            self._reset_counts()

    def note_repetition(self, *, is_answered: bool) -> None:
        """Restore the limit of the last burst if repeated queries fail as before.

        In that case the domains are broken, and the resolver was not overloaded.
        """
        if is_answered:
            self._before_burst = None
        elif self._before_burst is not None:
            self._confirmed += 1
            if self._confirmed >= BURST_DOMAINS:
                self._limit = max(self._limit, self._before_burst)
                self._slow_above = self._maximum
                self._before_burst = None

    def _count_outcome(self) -> None:
        if self._outcomes >= OUTCOMES:
            self._reset_counts()
        self._outcomes += 1

    def _reset_counts(self) -> None:
        self._outcomes = self._failures = 0
        self._failed: set[str] = set()
