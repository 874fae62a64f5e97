"""The Public Suffix List: which names are registries' (for RFC 7489's organizational domain).

RFC 9989 has the tree walk instead (``names.walk``). The list is the one of the pinned package.
"""

from functools import cache

from publicsuffixlist import PublicSuffixList

from app.protocols import memoize


def is_public_suffix(name: str) -> bool:
    """Whether names are registered directly below it: a TLD, ``co.uk``, ``github.io``.

    name  A-labels in lower case; a single label is always one
    """
    return registrable(name) is None


@memoize.for_short_texts
def registrable(name: str) -> str | None:
    """The part that is registered: the public suffix and one label; None if there is no such part.

    name    A-labels or U-labels in any case
    source  RFC 7489 §3.2; https://publicsuffix.org/list/ (an unlisted TLD is a suffix)
    """
    found: str | None = _list().privatesuffix(name)
    return found


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
