"""Caching the results of parsers: the same provider records occur in thousands of zones."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

MAX_ENTRIES = 4096  # cached results of each parser
MAX_TEXT_LENGTH = 512  # characters of a cached text, so that untrusted input cannot fill the memory

T = TypeVar("T")


def for_short_texts(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The parser with a cache of its recent results for short texts.

    parse  a pure function with immutable results; exceptions are not cached
    """
    cached = lru_cache(MAX_ENTRIES)(parse)

    @wraps(parse)
    def memoized(text: str) -> T:
        return cached(text) if len(text) <= MAX_TEXT_LENGTH else parse(text)

    return memoized
