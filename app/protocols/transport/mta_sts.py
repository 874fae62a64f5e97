"""MTA-STS: the TXT record, the policy file, and the MX hosts that it covers (RFC 8461)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from app.protocols import tags

VERSION = "STSv1"
MAX_AGE = 31_557_600  # seconds (§3.2)
MAX_POLICY_BYTES = 64 * 1024  # §3.3

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FIELD_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
_MX = re.compile(rf"(?:\*\.)?{_DOMAIN}(?:\.{_DOMAIN})*")
_AGE = re.compile(r"[0-9]{1,10}")


class NotMtaSts(ValueError):
    """The text does not begin with ``v=STSv1;``, so a sender sees no MTA-STS record."""


class MtaStsUnusable(ValueError):
    """The MTA-STS record is invalid, so a sender assumes that there is no policy (§3.1).

    code  ``id_missing``, ``id_invalid``, ``syntax``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class BadPolicy(ValueError):
    """The MTA-STS policy file is invalid, so a sender acts as if there were none (§3.3).

    code  ``too_large``, ``encoding``, ``line_endings``, ``syntax``, ``version``, ``mode``,
          ``max_age``, ``max_age_too_long``, ``mx_missing``, ``mx_invalid``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Mode(StrEnum):
    """What senders do if TLS fails or the policy does not cover the MX host (§5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MtaStsRecord:
    """One MTA-STS record; of each of ``duplicate_tags`` the first occurrence counts."""

    id: str
    duplicate_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One MTA-STS policy file.

    mx            patterns as written, in order; may be empty only for mode ``none``
    max_age       seconds
    line_endings  CR LF and LF both conform
    """

    mode: Mode
    mx: tuple[str, ...]
    max_age: int
    line_endings: Literal["crlf", "lf", "mixed"]
    duplicate_fields: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()

    def covers(self, host: str) -> bool:
        """Whether one of the patterns matches the MX host (§4.1)."""
        return any(covers(pattern, host) for pattern in self.mx)


def is_record(text: str) -> bool:
    """Whether senders recognize the TXT value as an MTA-STS record (§3.1)."""
    return text.startswith(f"v={VERSION};")


def is_attempt(text: str) -> bool:
    """Whether the text was meant as an MTA-STS record, even if senders do not recognize it."""
    return tags.claims_version(text, "STS")


def parse_record(text: str) -> MtaStsRecord:
    """The MTA-STS record in one TXT value at ``_mta-sts.<domain>``, as a sender reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotMtaSts, MtaStsUnusable
    source  RFC 8461 §3.1 (well-formed extensions are ignored, and the order is free)
    """
    if not is_record(text):
        raise NotMtaSts(f"the record does not begin with v={VERSION};")
    *parts, last = text.split(";")[1:]
    fields = [_pair(part) for part in (*parts, *([last] if last.strip(" \t") else ()))]
    ids = [value for name, value in fields if name == "id"]
    if not ids:
        raise MtaStsUnusable("id_missing", "field id is required")
    if not _ID.fullmatch(ids[0]):
        raise MtaStsUnusable("id_invalid", "id must have 1 to 32 letters and digits")
    for name, value in fields:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            reason = f"not a field: {_shown(name or value)}" if name or value else "a ; too many"
            raise MtaStsUnusable("syntax", reason)
    return MtaStsRecord(ids[0], tags.repeated(name for name, _ in fields))


def parse_policy(body: bytes) -> Policy:
    """The policy in an MTA-STS policy file, as a sender reads it.

    body    as received over HTTPS
    raises  BadPolicy
    source  RFC 8461 §3.2 (the first of repeated fields counts, except for ``mx``)
    """
    lines, line_endings = _lines(body)
    fields = [_field(line) for line in lines]
    values = dict(reversed(fields))  # so that the first field of a name wins
    if values.get("version") != VERSION:
        raise BadPolicy("version", f"the line 'version: {VERSION}' is required")
    mode = _mode(values.get("mode"))
    max_age = _max_age(values.get("max_age"))
    mx = tuple(value for name, value in fields if name == "mx")
    if not mx and mode is not Mode.NONE:
        raise BadPolicy("mx_missing", f"mode {mode} requires at least one mx line")
    for pattern in mx:
        is_address = pattern.rpartition(".")[2].isdigit()  # no TLD is a number
        if not _MX.fullmatch(pattern) or len(pattern) > 255 or is_address:
            raise BadPolicy("mx_invalid", f"not a host name or pattern: {_shown(pattern)}")
    return Policy(
        mode=mode,
        mx=mx,
        max_age=max_age,
        line_endings=line_endings,
        duplicate_fields=tags.repeated(name for name, _ in fields if name != "mx"),
        unknown_fields=tuple(
            name for name in dict(fields) if name not in ("version", "mode", "mx", "max_age")
        ),
    )


def covers(pattern: str, host: str) -> bool:
    """Whether the ``mx`` pattern matches the host; ``*.`` matches exactly one label.

    source  RFC 8461 §4.1; case does not matter (RFC 4343)
    """
    pattern = pattern.lower().removesuffix(".")
    host = host.lower().removesuffix(".")
    if pattern.startswith("*."):
        first, _, rest = host.partition(".")
        return bool(first) and rest == pattern[2:]
    return bool(host) and host == pattern


def _pair(part: str) -> tuple[str, str]:
    """The name and value; unlike in other records, white space around ``=`` is invalid (§3.1)."""
    name, _, value = part.strip(" \t").partition("=")
    return name, value


def _lines(body: bytes) -> tuple[list[str], Literal["crlf", "lf", "mixed"]]:
    if len(body) > MAX_POLICY_BYTES:
        raise BadPolicy("too_large", "the policy is larger than 64 KiB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadPolicy("encoding", "the policy is not UTF-8") from None
    both, feeds = text.count("\r\n"), text.count("\n")
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        raise BadPolicy("line_endings", "lines must end with CR LF or LF, not with CR alone")
    lines = [line for line in text.split("\n") if line.strip(" \t")]
    return lines, "lf" if not both else "crlf" if both == feeds else "mixed"


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or not value or not _FIELD_NAME.fullmatch(name) or not value.isprintable():
        raise BadPolicy("syntax", f"expected a line 'name: value', not {_shown(line)}")
    return name, value


def _mode(value: str | None) -> Mode:
    try:
        return Mode(value or "")
    except ValueError:
        raise BadPolicy("mode", "mode must be enforce, testing or none") from None


def _max_age(value: str | None) -> int:
    if value is None or not _AGE.fullmatch(value):
        raise BadPolicy("max_age", "max_age must be a number of seconds")
    if int(value) > MAX_AGE:
        raise BadPolicy("max_age_too_long", f"max_age must be at most {MAX_AGE} seconds")
    return int(value)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
