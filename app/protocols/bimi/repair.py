"""The record that a malformed BIMI record was evidently meant to be."""

import re
from collections.abc import Callable, Mapping

from app.protocols import bimi, repair

KNOWN = ("v", "l", "a", "avp", "lps")
DROP = ""  # without this tag, receivers do what they do with its invalid value
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+/", re.ASCII | re.IGNORECASE)


def repaired(text: str) -> str | None:
    """The valid record that the text was meant to be; None if its meaning is not evident.

    A location with ``http:`` stays: whether the file is also served by HTTPS is not evident.
    """
    pairs = repair.tag_pairs(text, KNOWN, bimi.VERSION)
    if pairs is None:
        return None
    values = dict(pairs)
    version = values.pop("v", bimi.VERSION if bimi.is_attempt(text) else "")
    if not re.fullmatch(r"bimi[0-9.]*", version, re.ASCII | re.IGNORECASE):
        return None
    tags = [("v", bimi.VERSION)]
    for name, value in values.items():
        correct = _CORRECTIONS.get(name)
        result = correct(value) if correct else value
        if result or name in ("l", "a"):  # an empty location declines to show a logo
            tags.append((name, result))
    record = repair.joined(tags)
    return record if _is_valid(record) else None


def _is_valid(record: str) -> bool:
    try:
        bimi.parse_record(record)
    except bimi.Unusable:
        return False
    return True


def _location(value: str) -> str:
    """The URL; a missing scheme is ``https:``, the only one that is allowed."""
    url = re.sub(r"\s+", "", value).strip("<>")
    if _HOST.match(url):
        return f"https://{url}"
    return repair.with_one_scheme(url)


def _avatar(value: str) -> str:
    return repair.choice(value, ("brand", "personal")) or DROP


_CORRECTIONS: Mapping[str, Callable[[str], str]] = {
    "l": _location,
    "a": _location,
    "avp": _avatar,
}
