"""Alignment of an authenticated name with the author's domain (RFC 9989 §4.4).

Relaxed alignment compares Organizational Domains. For the monitored domain this is the one from the
tree walk of its last scan (RFC 9989 §4.10.2). DNS is not queried for the other names in reports, so
theirs is the registrable part by the Public Suffix List (RFC 7489 §3.2).
"""

from functools import lru_cache

from app.protocols import public_suffix


def organizational(name: str, org_domain: str | None = None) -> str:
    """Return the Organizational Domain of a name.

    org_domain  the Organizational Domain by a tree walk; it applies to names below it, too
    """
    if org_domain and is_within(name, org_domain):
        return org_domain
    return _registrable(name)


def is_aligned(
    name: str, author: str, *, strict: bool = False, org_domain: str | None = None
) -> bool:
    """Return whether ``name`` is aligned with the author's domain."""
    if name == author:
        return True
    return not strict and organizational(name, org_domain) == organizational(author, org_domain)


def is_within(name: str, domain: str) -> bool:
    """Return whether the name is the domain or below it."""
    return name == domain or name.endswith(f".{domain}")


@lru_cache(maxsize=16_384)
def _registrable(name: str) -> str:
    return public_suffix.registrable(name) or name
