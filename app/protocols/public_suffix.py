"""The Public Suffix List, which determines the organizational domain of RFC 7489.

RFC 9989 replaces it with the tree walk (``names.walk``). The list comes with the pinned package.
"""

from functools import cache

from publicsuffixlist import PublicSuffixList

from app.protocols import memoize


def is_public_suffix(name: str) -> bool:
    """Whether domains are registered directly below the name: a TLD, ``co.uk``, ``github.io``.

    name  A-labels in lower case; a single label is always a public suffix
    """
    return registrable(name) is None


@memoize.for_short_texts
def registrable(name: str) -> str | None:
    """The registrable part: the public suffix and one label; None for a public suffix.

    name    A-labels or U-labels in any case
    source  RFC 7489 §3.2; https://publicsuffix.org/list/ (an unlisted TLD is a suffix)
    """
    name_part: str | None = _list().privatesuffix(name)
    return name_part


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
