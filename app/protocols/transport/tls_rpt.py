"""TLS-RPT records, which name the destinations of TLS reports (RFC 8460 §3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.protocols import tags, uris

VERSION = "TLSRPTv1"
SCHEMES = ("mailto", "https")
_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FIELD_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")


class NotTlsRpt(ValueError):
    """The text does not begin with ``v=TLSRPTv1;``, so a sender sees no TLS-RPT record."""


class TlsRptUnusable(ValueError):
    """Senders cannot use the TLS-RPT record.

    code  ``rua_missing``, ``rua_invalid``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class TlsRptRecord:
    """One TLS-RPT record.

    rua             the usable URIs in order, including repeated ones; at least one
    problems        unusable URIs, and parts that are no fields
    duplicate_tags  tag names that occur more than once; the first occurrence counts
    """

    rua: tuple[uris.Uri, ...]
    problems: tuple[tags.Problem, ...] = ()
    duplicate_tags: tuple[str, ...] = ()


def is_record(text: str) -> bool:
    """Whether senders recognize the TXT value as a TLS-RPT record."""
    return text.startswith(f"v={VERSION};")


def is_attempt(text: str) -> bool:
    """Whether the text was meant as a TLS-RPT record, even if senders do not recognize it."""
    return tags.claims_version(text, "TLSRPT")


def parse_record(text: str) -> TlsRptRecord:
    """The TLS-RPT record in one TXT value at ``_smtp._tls.<domain>``, as a sender reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotTlsRpt; TlsRptUnusable if no report address is usable
    source  RFC 8460 §3 (unknown fields are ignored)
    """
    if not is_record(text):
        raise NotTlsRpt(f"the record does not begin with v={VERSION};")
    pairs = tags.split(text)
    problems = list(_malformed(text))
    values = [value for name, value in pairs if name == "rua"]
    if not values or not values[0]:
        raise TlsRptUnusable("rua_missing", "tag rua is required")
    read: list[uris.Uri] = []
    for address in values[0].split(","):
        try:
            read.append(_destination(address.strip()))
        except ValueError as error:
            problems.append(tags.Problem("rua", address.strip(), str(error)))
    if not read:
        raise TlsRptUnusable("rua_invalid", f"rua has no usable address: {problems[-1].reason}")
    duplicates = tags.repeated(name for name, _ in pairs if name)
    return TlsRptRecord(tuple(read), tuple(problems), duplicates)


def _malformed(text: str) -> Iterator[tags.Problem]:
    """The parts after the version that are no fields by the grammar, with an empty name."""
    *parts, last = (part.strip(" \t") for part in text.split(";")[1:])
    for part in (*parts, *([last] if last else ())):
        name, equals, value = part.partition("=")
        is_blank = name != name.rstrip(" \t") or value != value.lstrip(" \t")
        is_value = name == "rua" or _FIELD_VALUE.fullmatch(value)
        if not part:
            yield tags.Problem("", ";", "a semicolon too many")
        elif not equals:
            yield tags.Problem("", part, tags.why_not_a_tag(part))
        elif is_blank:
            yield tags.Problem("", part, "no blank is allowed before or after =")
        elif not _FIELD_NAME.fullmatch(name) or not is_value:
            yield tags.Problem("", part, "the name or the value has an invalid character")


def _destination(text: str) -> uris.Uri:
    uri = uris.parse(text)
    if uri.scheme not in SCHEMES:
        raise ValueError("only mailto: and https: URIs are allowed")
    return uri


def with_address(text: str | None, address: str) -> str | None:
    """The record that also sends reports to this address; ``text`` itself if it already does.

    text     the published record; None if there is none
    returns  None if the published record has mistakes, which must be corrected first
    """
    if text is None:
        return f"v={VERSION}; rua={address}"
    try:
        old = parse_record(text)
    except (NotTlsRpt, TlsRptUnusable):
        return None
    if old.problems or old.duplicate_tags:
        return None
    if address in old.rua:
        return text
    record = tags.replaced(text, "rua", ",".join((*old.rua, address)))
    new = parse_record(record)
    return record if not new.problems and {*old.rua, address} == set(new.rua) else None
