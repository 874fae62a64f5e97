"""DMARC records (RFC 9989) and the authorization of report destinations (RFC 9990 §4)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.protocols import memoize, tags, uris
from app.protocols.names import MAX_NAME

VERSION = "DMARC1"
REMOVED = ("pct", "rf", "ri")  # RFC 9989 §C.5.2


class Policy(StrEnum):
    """The requested handling of mail that fails DMARC, from weakest to strongest."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def strength(self) -> int:
        """The strength as a number: 0 for none, 1 for quarantine, 2 for reject."""
        return list(Policy).index(self)

    @property
    def lowered(self) -> "Policy":
        """The policy one step weaker, as ``t=y`` requests (RFC 9989 §4.7)."""
        return list(Policy)[max(self.strength - 1, 0)]


class Alignment(StrEnum):
    """How closely the authenticated domain must match the author's domain (RFC 9989 §4.4)."""

    RELAXED = "r"
    STRICT = "s"


class Psd(StrEnum):
    """Whether the domain declares itself a public suffix, an organizational domain, or neither."""

    YES = "y"
    NO = "n"
    UNKNOWN = "u"


class NotDmarc(ValueError):
    """The text does not begin with ``v=DMARC1``, so a receiver sees no DMARC record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One DMARC record; tags that are absent or invalid have their defaults.

    p, sp, np        None if absent, or if invalid and therefore listed in ``problems``
    fo               None without ``ruf``, where it has no effect
    rua, ruf         the valid URIs in order, without size suffix, with repetitions
    sized            the URIs with the obsolete size suffix, as written (§4.8)
    removed_tags     tags of RFC 7489 that RFC 9989 removed; their values are not validated
    pct              0 to 100 as defined in RFC 7489; None if absent or invalid
    unknown_tags     tag names that DMARC does not define; receivers ignore them
    duplicate_tags   tag names that occur more than once; the first occurrence counts
    """

    p: Policy | None = None
    sp: Policy | None = None
    np: Policy | None = None
    adkim: Alignment = Alignment.RELAXED
    aspf: Alignment = Alignment.RELAXED
    fo: tuple[str, ...] | None = None
    rua: tuple[uris.Uri, ...] = ()
    ruf: tuple[uris.Uri, ...] = ()
    psd: Psd = Psd.UNKNOWN
    testing: bool = False
    problems: tuple[tags.Problem, ...] = ()
    sized: tuple[str, ...] = ()
    removed_tags: tuple[str, ...] = ()
    pct: int | None = None
    unknown_tags: tuple[str, ...] = ()
    duplicate_tags: tuple[str, ...] = ()

    @property
    def has_readable_policy(self) -> bool:
        """Whether ``p`` is present, and all of ``p``, ``sp`` and ``np`` are valid (§4.10.1)."""
        return self.p is not None and not any(
            problem.name in ("p", "sp", "np") for problem in self.problems
        )

    @property
    def is_processed(self) -> bool:
        """Whether receivers do any DMARC processing for this record (§4.10.1)."""
        return self.has_readable_policy or bool(self.rua)

    @property
    def has_obsolete_size(self) -> bool:
        """Whether a report address has a size limit such as ``!10m`` (§4.8)."""
        return bool(self.sized)


def is_record(text: str) -> bool:
    """Whether a receiver recognizes the TXT value as a DMARC record (RFC 9989 §4.7, §4.8)."""
    if not text.startswith(("v", "V")):
        return False
    name, value = next(iter(tags.split(text.partition(";")[0])), ("", ""))
    return tags.lowered(name) == "v" and value == VERSION


def is_attempt(text: str) -> bool:
    """Whether the text was meant as a DMARC record, even if receivers do not recognize it."""
    return tags.claims_version(text, "DMARC") or bool(_POLICY_FIRST.match(text))


@memoize.for_short_texts
def parse_record(text: str) -> Record:
    """The DMARC record in one TXT value at ``_dmarc.<domain>``, as a receiver reads it.

    text     the RR's character-strings, joined without a separator
    returns  Record: a tag that is absent or invalid has its default,
             and an invalid one is also listed in ``problems``
    raises   NotDmarc if the first tag is not ``v=DMARC1``
    source   RFC 9989 §4.7 (unknown tags are ignored)
    """
    if not is_record(text):
        raise NotDmarc("the record does not begin with v=DMARC1")
    pairs = [(tags.lowered(name), value) for name, value in tags.split(text)]
    fields: dict[str, Any] = {}
    problems: list[tags.Problem] = []
    values = _first_of_each(pairs[1:])
    for name, value in values.items():
        if reader := _READERS.get(name):
            try:
                fields.update(reader(name, value, problems))
            except ValueError as error:
                problems.append(tags.Problem(name, value, str(error)))
    problems += [
        tags.Problem("", value, tags.why_not_a_tag(value)) for name, value in pairs if not name
    ]
    fields["fo"] = fields.get("fo", ("0",)) if "ruf" in values else None
    return Record(
        **fields,
        problems=tuple(problems),
        sized=tuple(uri for name in ("rua", "ruf") for uri in _sized(values.get(name, ""))),
        removed_tags=tuple(name for name in values if name in REMOVED),
        unknown_tags=tuple(
            name for name in values if name and name not in (*_READERS, *REMOVED, "v")
        ),
        duplicate_tags=tags.repeated(name for name, _ in pairs if name),
    )


def sole_record(texts: Iterable[str]) -> Record | None:
    """The only DMARC record among the TXT values at a name; None if there are none or several.

    source  RFC 9989 §4.10 step 2: several records are all discarded, and the walk continues
    """
    records = [text for text in texts if is_record(text)]
    return parse_record(records[0]) if len(records) == 1 else None


@dataclass(frozen=True, slots=True)
class Authorization:
    """Whether an external destination accepts reports about the domain (RFC 9990 §4).

    is_given  whether the destination authorizes them; if not, reporters must ignore the URI
    instead   URIs that replace the original one; None: the original is used; empty: no reports
              are sent, because the destination names only other hosts
    """

    is_given: bool
    instead: tuple[uris.Uri, ...] | None = None


def authorization_name(record_at: str, host: str) -> str | None:
    """The name at which ``host`` authorizes reports; None if it is too long, so not authorized.

    record_at  the domain of the DMARC record, without ``_dmarc``
    """
    name = f"{record_at}._report._dmarc.{host}"
    return name if len(name) <= MAX_NAME else None


def authorization(texts: Iterable[str], uri: uris.Uri, tag: str = "rua") -> Authorization:
    """The authorization that the TXT values at ``authorization_name`` give for ``uri``.

    tag     ``rua`` or ``ruf``
    source  RFC 9990 §4 steps 5 to 7: any valid record is enough and needs no ``p``
    """
    records = [parse_record(text) for text in texts if is_record(text)]
    if not records:
        return Authorization(is_given=False)
    named = [other for record in records for other in getattr(record, tag)]
    if not named:
        return Authorization(is_given=True)
    return Authorization(True, tuple(other for other in named if other.host == uri.host))


_POLICY_FIRST = re.compile(  # the version is missing
    r"(?!.*v[ \t]*=)[\s\"'`\u2018\u2019\u201c\u201d\\]*+(?:p|sp|np|rua|ruf|adkim|aspf)[ \t]*+[=:]"
    r"[ \t]*+(?:[a-z]{4,12}+(?![a-z0-9+/=])|[sr](?![a-z0-9])|mailto:)",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_SIZE = re.compile(r"![0-9]+[kmgt]?", re.ASCII | re.IGNORECASE)

_Fields = Mapping[str, Any]
_Reader = Callable[[str, str, list[tags.Problem]], _Fields]


def _first_of_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name, value)
    return values


def _one_of(kind: type[StrEnum]) -> _Reader:
    choices = {member.value: member for member in kind}

    def read(name: str, value: str, _: list[tags.Problem]) -> _Fields:
        try:
            return {name: choices[tags.lowered(value)]}
        except KeyError:
            raise ValueError(f"not one of {', '.join(choices)}") from None

    return read


def _testing(_: str, value: str, __: list[tags.Problem]) -> _Fields:
    if tags.lowered(value) not in ("y", "n"):
        raise ValueError("not one of y, n")
    return {"testing": tags.lowered(value) == "y"}


def _failure_options(name: str, value: str, _: list[tags.Problem]) -> _Fields:
    options = tuple(tags.lowered(option.strip(" \t")) for option in value.split(":"))
    if not set(options) <= {"0", "1", "d", "s"}:
        raise ValueError("not a colon-separated list of 0, 1, d, s")
    if len(set(options)) < len(options):
        raise ValueError("an option is listed twice")
    if {"0", "1"} <= set(options):
        raise ValueError("0 and 1 cannot be combined")
    return {name: options}


def _percent(name: str, value: str, _: list[tags.Problem]) -> _Fields:
    if re.fullmatch(r"[0-9]{1,3}", value) and int(value) <= 100:
        return {name: int(value)}
    return {}  # a removed tag is not validated


def _addresses(name: str, value: str, problems: list[tags.Problem]) -> _Fields:
    read = []
    for text in map(str.strip, value.split(",")):
        try:
            read.append(uris.parse(_without_size(text)))
        except ValueError as error:
            problems.append(tags.Problem(name, text, str(error)))
    return {name: tuple(read)}


def _sized(value: str) -> list[str]:
    return [text for text in map(str.strip, value.split(",")) if _without_size(text) != text]


def _without_size(text: str) -> str:
    uri, mark, size = text.rpartition("!")
    return uri if mark and _SIZE.fullmatch(mark + size) else text


_READERS: Mapping[str, _Reader] = {
    "p": _one_of(Policy),
    "sp": _one_of(Policy),
    "np": _one_of(Policy),
    "adkim": _one_of(Alignment),
    "aspf": _one_of(Alignment),
    "psd": _one_of(Psd),
    "fo": _failure_options,
    "rua": _addresses,
    "ruf": _addresses,
    "t": _testing,
    "pct": _percent,
}
