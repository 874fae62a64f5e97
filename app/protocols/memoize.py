"""Remembering what short texts say: providers' records and terms stand in thousands of zones."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

MAX_ENTRIES = 4096  # results of each parser
MAX_TEXT_LENGTH = 512  # characters: what strangers can have remembered is bounded too

T = TypeVar("T")


def for_short_texts(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The same parser, which keeps what it made of the short texts that it was given lately.

    parse  pure, with results that nobody changes; what it raises is not kept
    """
    kept = lru_cache(MAX_ENTRIES)(parse)

    @wraps(parse)
    def remembering(text: str) -> T:
        return kept(text) if len(text) <= MAX_TEXT_LENGTH else parse(text)

    return remembering
