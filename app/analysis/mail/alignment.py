"""Alignment of an authenticated name with the author's domain (RFC 9989 §4.4).

Relaxed alignment compares Organizational Domains. For the monitored domain this is the one from the
tree walk of its last scan (RFC 9989 §4.10.2). DNS is not queried for the other names in reports, so
theirs is the registrable part by the Public Suffix List (RFC 7489 §3.2).
"""

from functools import lru_cache

from app.protocols import public_suffix


def organizational(name: str, walked: str | None = None) -> str:
    """The Organizational Domain of a name.

    walked  the Organizational Domain that a tree walk determined; it applies to names below it too
    """
    if walked and is_within(name, walked):
        return walked
    return _registrable(name)


def is_aligned(name: str, author: str, *, strict: bool = False, walked: str | None = None) -> bool:
    """Whether ``name`` is aligned with the author's domain."""
    if name == author:
        return True
    return not strict and organizational(name, walked) == organizational(author, walked)


def is_within(name: str, domain: str) -> bool:
    """Whether the name is the domain or below it."""
    return name == domain or name.endswith(f".{domain}")


@lru_cache(maxsize=16_384)
def _registrable(name: str) -> str:
    return public_suffix.registrable(name) or name
