"""JSON documents as reporters write them: with a BOM, in UTF-16, or with a trailing comma.

A value that has no single meaning does not refuse the document: an ``Unreadable`` stands in its
place, so that only what depends on it is lost.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_DIGITS = 20  # of a whole number; int() takes time that grows with the square
PADDING = " \t\r\n\0"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UTF_16 = re.compile(rb"(\0[^\0]\0[^\0])|[^\0]\0[^\0]\0")  # two characters of ASCII
# A string, without backtracking, also if it is unterminated; or a trailing comma.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|,(?=[ \t\r\n]*[}\]])', re.DOTALL)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that has no single meaning.

    reason   a reason of ReportRejected
    warning  the code of the warning if the member can be missing
    detail   what is wrong, to follow the name of the member
    """

    reason: str
    warning: str
    detail: str


_AMBIGUOUS = Unreadable("repeated_element", "repeated_member", "has two different values")
_NOT_A_NUMBER = Unreadable("bad_number", "bad_number", "is not a JSON number")
_TOO_LONG = Unreadable("bad_number", "bad_number", f"has more than {MAX_DIGITS} digits")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The value of a JSON document, and the deviations that were tolerated."""

    value: object
    warnings: tuple[str, ...]


def load(document: bytes, limits: Limits, name: Callable[[str], str] = str) -> Loaded:
    """The value of a document.

    name    the name to use for a member, so that several spellings become one
    raises  ReportRejected
    source  RFC 8259; RFC 7493 §2.3 (a name that occurs twice has no meaning)
    """
    text, warnings = _decoded(document, limits)
    if sum(map(text.count, ",[{")) > limits.json_values:
        raise ReportRejected("too_large", f"The JSON has more than {limits.json_values} values")
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: _object(pairs, name),
        parse_constant=lambda _: _NOT_A_NUMBER,
        parse_int=_integer,
        parse_float=_fraction,
        strict=False,
    )
    try:
        value, extra = _value(text, decoder)
    except RecursionError:
        raise ReportRejected("too_deep", "The values of the JSON are nested too deeply") from None
    _check_depth(value, limits)
    return Loaded(value, (*warnings, *extra))


def _decoded(document: bytes, limits: Limits) -> tuple[str, list[str]]:
    """The text of the document without padding, and warnings."""
    encoding = next((name for mark, name in _BOMS if document.startswith(mark)), "")
    if not encoding and (match := _UTF_16.match(document)):
        encoding = "utf-16-be" if match[1] else "utf-16-le"
    if encoding.startswith("utf-16") and len(document) > limits.xml_recoded:
        raise ReportRejected("too_large", f"The JSON has more than {limits.xml_recoded} bytes")
    try:
        text, warnings = document.decode(encoding or "utf-8"), []
    except UnicodeDecodeError:
        encoding = encoding if encoding.startswith("utf-16") else "cp1252"
        text = document.decode(encoding, "replace")
        warnings = ["not_utf8"]
    return text.lstrip("\ufeff" + PADDING).rstrip(PADDING), warnings


def _value(text: str, decoder: json.JSONDecoder) -> tuple[object, list[str]]:
    """The value at the start of the text, and warnings.

    raises  ReportRejected; RecursionError
    """
    try:
        value, end = decoder.raw_decode(text)
        warnings = []
    except json.JSONDecodeError:
        text = _TRAILING_COMMA.sub(lambda match: match[1] or "", text)
        warnings = ["trailing_comma"]
        try:
            value, end = decoder.raw_decode(text)
        except json.JSONDecodeError as error:
            position = f"line {error.lineno}, column {error.colno}"
            detail = f"The JSON is damaged or cut off at {position}: {error.msg}"
            raise ReportRejected("not_well_formed", detail) from None
    rest = text[end : end + 4096].lstrip(PADDING + ",;\x1a")
    if rest.startswith(("{", "[")):
        raise ReportRejected(
            "not_well_formed",
            "The file contains more than one JSON document. Send each in a file of its own",
        )
    if rest:
        warnings.append("text_around_report")
    return value, warnings


def _object(pairs: list[tuple[str, Any]], name: Callable[[str], str]) -> Object:
    members: Object = {}
    for written, value in pairs:
        key = name(written)
        if key in members and not _same(members[key], value):
            value = _AMBIGUOUS
        members[key] = value
    return members


def _same(first: object, second: object) -> bool:
    return type(first) is type(second) and first == second


def _integer(digits: str) -> object:
    return int(digits) if len(digits) <= MAX_DIGITS else _TOO_LONG


def _fraction(text: str) -> object:
    """A number with a fraction or an exponent; a whole number becomes an integer."""
    if len(text) > 2 * MAX_DIGITS:
        return _TOO_LONG
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _check_depth(loaded: object, limits: Limits) -> None:
    level = [loaded]
    for _ in range(limits.json_depth):
        level = [inner for value in level for inner in _values(value)]
    if level:
        raise ReportRejected(
            "too_deep",
            f"The values of the JSON are nested more than {limits.json_depth} levels deep",
        )


def _values(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
