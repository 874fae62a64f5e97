"""DMARC records: what one says (RFC 9989), and who may be sent reports (RFC 9990 §4)."""

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
    """What the domain owner asks for mail that fails, from weakest to strongest."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def strength(self) -> int:
        """0 for none … 2 for reject."""
        return list(Policy).index(self)

    @property
    def lowered(self) -> "Policy":
        """One step weaker, as ``t=y`` asks (RFC 9989 §4.7)."""
        return list(Policy)[max(self.strength - 1, 0)]


class Alignment(StrEnum):
    """How near the authenticated domain must be to the author's (RFC 9989 §4.4)."""

    RELAXED = "r"
    STRICT = "s"


class Psd(StrEnum):
    """Whether the domain says it is a public suffix, an organizational domain, or nothing."""

    YES = "y"
    NO = "n"
    UNKNOWN = "u"


class NotDmarc(ValueError):
    """The text does not begin with ``v=DMARC1``: a receiver sees no DMARC record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One DMARC record; tags that are absent or unreadable have their defaults.

    p, sp, np        None if absent, or unreadable and thus in ``problems``
    fo               None without ``ruf``: then it means nothing
    rua, ruf         the readable URIs, without a size suffix, in order, repeated ones too
    sized            the URIs as written, that have the obsolete size suffix (§4.8)
    removed_tags     those of RFC 7489 that RFC 9989 took away; their values are not judged
    pct              as readers of RFC 7489 take it, 0 to 100; None if absent or unreadable
    unknown_tags     names that no reader of ours knows; receivers ignore them
    duplicate_tags   names that occur again; the first of each was read
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
        """``p`` is there and valid, and so are ``sp`` and ``np`` where present (§4.10.1)."""
        return self.p is not None and not any(
            problem.name in ("p", "sp", "np") for problem in self.problems
        )

    @property
    def is_processed(self) -> bool:
        """False if receivers do no DMARC processing at all for this record (§4.10.1)."""
        return self.has_readable_policy or bool(self.rua)

    @property
    def has_obsolete_size(self) -> bool:
        """A report address has a size limit like ``!10m`` (§4.8)."""
        return bool(self.sized)


def is_record(text: str) -> bool:
    """Whether a receiver takes the TXT value for a DMARC record (RFC 9989 §4.7, §4.8)."""
    if not text.startswith(("v", "V")):
        return False
    name, value = next(iter(tags.split(text.partition(";")[0])), ("", ""))
    return tags.lowered(name) == "v" and value == VERSION


def is_attempt(text: str) -> bool:
    """Whether it was meant as a DMARC record, though receivers may see none."""
    return tags.claims_version(text, "DMARC")


@memoize.for_short_texts
def parse_record(text: str) -> Record:
    """Read one TXT value found at ``_dmarc.<domain>`` as a receiver reads it.

    text     the RR's character-strings, joined without a separator
    returns  Record: a tag that is absent or unreadable has its default,
             and an unreadable one is also listed in ``problems``
    raises   NotDmarc if the first tag is not ``v=DMARC1``
    source   RFC 9989 §4.7 (unknown tags are ignored)
    """
    if not is_record(text):
        raise NotDmarc("the record does not begin with v=DMARC1")
    found = [(tags.lowered(name), value) for name, value in tags.split(text)]
    fields: dict[str, Any] = {}
    problems: list[tags.Problem] = []
    values = _first_of_each(found[1:])
    for name, value in values.items():
        if reader := _READERS.get(name):
            try:
                fields.update(reader(name, value, problems))
            except ValueError as error:
                problems.append(tags.Problem(name, value, str(error)))
    problems += [tags.Problem("", value, "not a tag: no =") for name, value in found if not name]
    fields["fo"] = fields.get("fo", ("0",)) if "ruf" in values else None
    return Record(
        **fields,
        problems=tuple(problems),
        sized=tuple(uri for name in ("rua", "ruf") for uri in _sized(values.get(name, ""))),
        removed_tags=tuple(name for name in values if name in REMOVED),
        unknown_tags=tuple(
            name for name in values if name and name not in (*_READERS, *REMOVED, "v")
        ),
        duplicate_tags=tags.repeated(name for name, _ in found if name),
    )


def sole_record(texts: Iterable[str]) -> Record | None:
    """The one DMARC record among the TXT values at a name; None if there is none, or several.

    source  RFC 9989 §4.10 step 2: several are all discarded, and the walk goes on
    """
    found = [text for text in texts if is_record(text)]
    return parse_record(found[0]) if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a destination outside of the domain says to getting its reports (RFC 9990 §4).

    is_given  False: reporters must ignore the URI
    instead   where reports go instead of to the URI; None: to the URI itself; empty: nowhere,
              because only other hosts are named
    """

    is_given: bool
    instead: tuple[uris.Uri, ...] | None = None


def authorization_name(record_at: str, host: str) -> str | None:
    """The name at which ``host`` authorises reports; None if it would be too long: not authorised.

    record_at  the domain at which the record was found, without ``_dmarc``
    """
    name = f"{record_at}._report._dmarc.{host}"
    return name if len(name) <= MAX_NAME else None


def authorization(texts: Iterable[str], uri: uris.Uri, tag: str = "rua") -> Authorization:
    """What the TXT values at ``authorization_name`` say of sending reports to ``uri``.

    tag     ``rua`` or ``ruf``
    source  RFC 9990 §4 steps 5 to 7: any one valid record is enough, and needs no ``p``
    """
    records = [parse_record(text) for text in texts if is_record(text)]
    if not records:
        return Authorization(is_given=False)
    named = [other for record in records for other in getattr(record, tag)]
    if not named:
        return Authorization(is_given=True)
    return Authorization(True, tuple(other for other in named if other.host == uri.host))


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
        raise ValueError("not a list of 0, 1, d, s with colons between")
    if {"0", "1"} <= set(options):
        raise ValueError("0 and 1 exclude each other")
    return {name: options}


def _percent(name: str, value: str, _: list[tags.Problem]) -> _Fields:
    if re.fullmatch(r"[0-9]{1,3}", value) and int(value) <= 100:
        return {name: int(value)}
    return {}  # removed: not judged


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
