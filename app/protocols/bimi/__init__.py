"""BIMI records (draft-brand-indicators-for-message-identification §4.2); logos: ``bimi_logo``."""

from dataclasses import dataclass

from app.protocols import tags, uris

VERSION = "BIMI1"


class NotBimi(ValueError):
    """The text does not begin with ``v=BIMI1``, so a receiver sees no BIMI record."""


class Unusable(ValueError):
    """Receivers cannot use the BIMI record; the message has all of the reasons.

    code  of the first reason: ``syntax``, ``duplicate_tag``, ``logo_missing``, ``logo_invalid``,
          ``authority_invalid``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Record:
    """One BIMI record.

    l         HTTPS URL of the logo; None if empty
    a         HTTPS URL of the mark certificate (VMC, CMC); None if absent or empty
    avp       ``brand`` or ``personal``: the preferred avatar
    lps       the local parts that have their own selectors
    declined  ``l`` and ``a`` are empty: the domain declines to show a logo
    """

    l: uris.Uri | None  # noqa: E741 - the tag's name
    a: uris.Uri | None = None
    avp: str = "brand"
    lps: tuple[str, ...] = ()

    @property
    def declined(self) -> bool:
        """Whether the domain owner declines to have a logo shown."""
        return self.l is None and self.a is None


def is_record(text: str) -> bool:
    """Whether a receiver recognizes the TXT value as a BIMI record: it begins with ``v=BIMI1``."""
    return text.startswith("v") and tags.split(text.partition(";")[0]) == [("v", VERSION)]


def is_attempt(text: str) -> bool:
    """Whether the text was meant as a BIMI record, even if receivers do not recognize it."""
    return tags.claims_version(text, "BIMI")


def parse_record(text: str) -> Record:
    """The BIMI record in one TXT value at ``<selector>._bimi.<domain>``, as a receiver reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotBimi, Unusable
    source  draft-brand-indicators-for-message-identification §4.2 (unknown tags are ignored)
    """
    if not is_record(text):
        raise NotBimi(f"the record does not begin with v={VERSION}")
    pairs = tags.split(text)
    values = dict(reversed(pairs))  # so that the first tag of a name wins
    faults = [("syntax", f"not a tag: {value[:40]!r}") for name, value in pairs if not name]
    for name in tags.repeated(name for name, _ in pairs if name):
        faults.append(("duplicate_tag", f"tag {name[:40]} occurs more than once"))
    if "l" not in values:
        faults.append(("logo_missing", "tag l is required"))
    logo = _location("logo_invalid", "l", values.get("l", ""), faults)
    authority = _location("authority_invalid", "a", values.get("a", ""), faults)
    if faults:
        raise Unusable(faults[0][0], "; ".join(reason for _, reason in faults))
    return Record(
        l=logo,
        a=authority,
        avp="personal" if tags.lowered(values.get("avp", "")) == "personal" else "brand",
        lps=tags.items(values.get("lps", ""), ","),
    )


def _location(code: str, name: str, value: str, faults: list[tuple[str, str]]) -> uris.Uri | None:
    """The URL in a tag; None if it is empty, or invalid and therefore added to ``faults``."""
    if not value:
        return None
    try:
        uri = uris.parse(value)
    except ValueError as error:
        faults.append((code, f"{name}: {error}"))
        return None
    if uri.scheme != "https":
        faults.append((code, f"{name}: only https: URLs are allowed"))
        return None
    return uri
