"""BIMI records (draft-brand-indicators-for-message-identification §4.2). Logos: ``bimi_logo``."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.protocols import tags, uris

VERSION = "BIMI1"


class NotBimi(ValueError):
    """The text does not begin with ``v=BIMI1``: a receiver sees no record."""


class Unusable(ValueError):
    """Receivers cannot use the record.

    code  ``syntax``, ``duplicate_tag``, ``logo_missing``, ``logo_invalid``, ``authority_invalid``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Record:
    """One BIMI record.

    l         where the logo is, over HTTPS; None if empty
    a         where the evidence (VMC, CMC) is, over HTTPS; None if absent or empty
    avp       ``brand`` or ``personal``: which avatar is preferred
    lps       the local parts for which there are own selectors
    declined  ``l`` and ``a`` are empty: no logo is wanted
    """

    l: uris.Uri | None  # noqa: E741 - the tag's name
    a: uris.Uri | None = None
    avp: str = "brand"
    lps: tuple[str, ...] = ()
    problems: tuple[tags.Problem, ...] = ()

    @property
    def declined(self) -> bool:
        """The domain owner wants no logo shown."""
        return self.l is None and self.a is None


def is_record(text: str) -> bool:
    """Whether a receiver takes the TXT value for a BIMI record: ``v=BIMI1`` first, exactly."""
    return text.startswith("v") and tags.split(text.partition(";")[0]) == [("v", VERSION)]


def is_attempt(text: str) -> bool:
    """Whether it was meant as a BIMI record, though receivers may see none."""
    return tags.claims_version(text, "BIMI")


def parse_record(text: str) -> Record:
    """Read one TXT value found at ``<selector>._bimi.<domain>`` as a receiver reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotBimi, Unusable
    source  draft-brand-indicators-for-message-identification §4.2 (unknown tags are ignored)
    """
    if not is_record(text):
        raise NotBimi(f"the record does not begin with v={VERSION}")
    found = tags.split(text)
    if parts := [value for name, value in found if not name]:
        raise Unusable("syntax", f"not a tag: {parts[0][:40]!r}")
    if repeated := tags.repeated(name for name, _ in found):
        raise Unusable("duplicate_tag", f"tag {repeated[0][:40]} occurs more than once")
    values = dict(found)
    if "l" not in values:
        raise Unusable("logo_missing", "l is required")
    logo = _location("logo_invalid", "l", values["l"])
    return Record(
        l=logo,
        a=_location("authority_invalid", "a", values.get("a", "")),
        avp="personal" if tags.lowered(values.get("avp", "")) == "personal" else "brand",
        lps=tags.items(values.get("lps", ""), ","),
        problems=tuple(_problems(values, logo)),
    )


def _location(code: str, name: str, value: str) -> uris.Uri | None:
    if not value:
        return None
    try:
        uri = uris.parse(value)
    except ValueError as error:
        raise Unusable(code, f"{name}: {error}") from None
    if uri.scheme != "https":
        raise Unusable(code, f"{name}: only https: is allowed")
    return uri


def _problems(values: dict[str, str], logo: uris.Uri | None) -> list[tags.Problem]:
    problems = []
    if logo is None and values.get("a"):
        problems.append(tags.Problem("l", "", "empty, although there is evidence for a logo"))
    if logo is not None and not urlsplit(logo).path.lower().endswith((".svg", ".svgz")):
        problems.append(tags.Problem("l", logo, "the path does not end in .svg or .svgz"))
    if tags.lowered(values.get("avp", "brand")) not in ("brand", "personal"):
        problems.append(tags.Problem("avp", values["avp"], "not one of brand, personal"))
    return problems
