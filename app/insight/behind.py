"""Which records are behind what is told of a source, as far as their addresses can say it. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from app.insight.sources import Source

MOST_ADDRESSES = 50  # that one list of records may be asked for


def addresses(source: Source) -> Sequence[str]:
    """Those that sent the most, as many as a list can name."""
    return [address for address, _ in source.addresses.most_common(MOST_ADDRESSES)]


def unshared(sources: Iterable[Source]) -> Set[str]:
    """The addresses all of whose mail is in one source, so that a list of it is one's of that."""
    found = list(sources)
    if any(source.has_more_addresses for source in found):
        return frozenset()
    counts = Counter(address for source in found for address in source.addresses)
    return frozenset(address for address, count in counts.items() if count == 1)


def is_exact(source: Source, alone: Set[str]) -> bool:
    """The records of ``addresses`` are the source's, all of them; ``alone``: what ``unshared`` has.

    Mail that was not looked at address by address has none to list.
    """
    return 0 < len(source.addresses) <= MOST_ADDRESSES and source.addresses.keys() <= alone
