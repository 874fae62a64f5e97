"""Repairs of reports that are not quite XML, for another attempt to parse them.

Only a document that the XML parser refuses is repaired. No entity is ever expanded, and each step
reads the document once. What is removed or replaced is text that no figure depends on.
"""

import codecs
import html
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.protocols.report_formats import xml_text
from app.protocols.report_formats.aggregate import schema
from app.protocols.report_formats.limits import KIB, MIB, Limits, ReportRejected

# The reasons for which a document may not be XML; others are about what it says.
REPAIRABLE = frozenset(("doctype", "encoding", "not_a_report", "not_well_formed", "token_too_long"))

MAX_PREFIXES = 4

_PIECE, _BEGINNING = MIB, 4 * KIB
_NOT_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_BLANK = b" \t\r\n"
_PREFIX = rb"(?:[A-Za-z_][\w.-]{0,50}:)?"
_ROOT = re.compile(rb"<" + _PREFIX + rb"feedback(?=[\s/>])", re.IGNORECASE)
_ROOT_END = re.compile(rb"</" + _PREFIX + rb"feedback[ \t\r\n]{0,20}>", re.IGNORECASE)
_RECORD = re.compile(rb"<" + _PREFIX + rb"record[\s>]", re.IGNORECASE)
_PREFIXED = re.compile(
    rb"<([A-Za-z_][\w.-]{0,50}:)(?:feedback|record|report_metadata|policy_published)[\s/>]",
    re.IGNORECASE,
)
_LAST_TAG = re.compile(rb"</" + _PREFIX + rb"record>\s{0,20}", re.IGNORECASE)
_NAMESPACE = re.compile(rb"""\sxmlns(?::[\w.-]{1,50})?=["']([A-Za-z0-9:/._#-]{1,200})["']""")
_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_SECTION = re.compile(rb"<!--|<\?|<!\[CDATA\[")
_SECTION_ENDS = {b"<!--": b"-->", b"<?": b"?>", b"<![CDATA[": b"]]>"}
_REFERENCE = re.compile(rb"&(?:(#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});)?")
_LONG_TEXT = re.compile(rb">([^<>]{4096})[^<>]+(?=<)")
_TAG = re.compile(rb"<(?:(/?)([A-Za-z_][\w.:-]{0,99})(/?>|\s[^<>]{0,4096}>))?")
_PREDEFINED = frozenset((b"lt", b"gt", b"amp", b"quot", b"apos"))


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repaired document, and the codes of the deviations that were repaired."""

    document: bytes
    tolerated: dict[str, None]


def attempts(document: bytes, limits: Limits) -> Iterator[Repaired]:
    """The document with its surroundings and texts repaired, and then also with its tags repaired.

    Yields nothing if the document contains no report, or if records would be lost.

    raises  ReportRejected if it declares entities, or contains several reports
    """
    tolerated: dict[str, None] = {}
    document = _without_sections(_in_utf8(document, limits, tolerated))
    document = _with_valid_references(_body(document, tolerated), tolerated)
    if not document:
        return
    if len(document) > limits.token:
        document = _LONG_TEXT.sub(rb">\1", document)
    yield Repaired(document, tolerated or {"not_well_formed": None})
    if len(document) <= limits.xml_recoded:
        document = _with_valid_tags(document)
        yield Repaired(document, {**tolerated, "markup_in_text": None})


def _in_utf8(document: bytes, limits: Limits, tolerated: dict[str, None]) -> bytes:
    """The document in UTF-8, without characters that XML forbids."""
    encoding = "utf-8"
    while encoding == "utf-8":  # a byte order mark may be there more than once
        document, encoding = xml_text.without_mark(document.lstrip(_BLANK))
    encoding = encoding or _declared(document, tolerated)
    if encoding != "utf-8" and len(document) <= limits.xml_recoded:
        document = document.decode(encoding, "replace").encode("utf-8")
    if not _is_utf8(document):
        document = _from_windows_1252(document)
        tolerated["not_utf8"] = None
    if _NOT_XML.search(document):
        document = _NOT_XML.sub(b"", document)
        tolerated["invalid_characters"] = None
    return document


def _declared(document: bytes, tolerated: dict[str, None]) -> str:
    start = max(document.find(b"<?xml", 0, _BEGINNING), 0)  # text may precede it
    try:
        return xml_text.declared(document[start : start + _BEGINNING], tolerated)
    except ReportRejected:
        tolerated["encoding_unknown"] = None
        return "utf-8"


def _is_utf8(document: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        for _ in _decoded(document, "strict"):
            pass
        return True
    return False


def _from_windows_1252(document: bytes) -> bytes:
    """The document in UTF-8, with the bytes that are not UTF-8 read as windows-1252."""
    return b"".join(text.encode("utf-8") for text in _decoded(document, _WINDOWS_1252))


def _decoded(document: bytes, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    for start in range(0, len(document), _PIECE):
        piece = document[start : start + _PIECE]
        yield decoder.decode(piece, start + _PIECE >= len(document))


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_WINDOWS_1252 = "mailwatch.windows-1252"
codecs.register_error(_WINDOWS_1252, _windows_1252)


def _without_sections(document: bytes) -> bytes:
    """The document without comments and processing instructions, and CDATA sections as text."""
    if _ENTITY.search(document):
        raise ReportRejected("doctype", "the document declares entities, which is not allowed")
    pieces, end = [], 0
    for section in _SECTION.finditer(document):
        if section.start() < end:
            continue
        close = document.find(_SECTION_ENDS[section[0]], section.end())
        if close < 0:
            break
        pieces.append(document[end : section.start()])
        if section[0] == b"<![CDATA[":
            pieces.append(_escaped(document[section.end() : close]))
        end = close + len(_SECTION_ENDS[section[0]])
    return b"".join((*pieces, document[end:])) if pieces else document


def _escaped(text: bytes) -> bytes:
    return text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")


def _body(document: bytes, tolerated: dict[str, None]) -> bytes:
    """The root element without what surrounds it; empty if there is no complete report.

    Of its attributes only the namespace is left, as a prefix may be declared outside of the root.
    """
    roots = _ROOT.finditer(document)
    if (root := next(roots, None)) is None or (start := document.find(b">", root.end())) < 0:
        return b""
    if next(roots, None) is not None:
        raise ReportRejected("several_reports", "the document contains more than one report")
    content_end, end = _end(document, start + 1, tolerated)
    outside = (document[: root.start()], document[end:])
    if content_end < 0 or any(map(_RECORD.search, outside)):
        return b""
    if any(text.strip(_BLANK) for text in outside):
        tolerated["text_around_report"] = None
    namespace = _namespace(document[root.end() : start + 1], tolerated)
    content = memoryview(document)[start + 1 : content_end]
    body = b"".join((b"<feedback", namespace, b">", content, b"</feedback>"))
    return _without_prefixes(document, body)


def _namespace(attributes: bytes, tolerated: dict[str, None]) -> bytes:
    """The declaration of the DMARC namespace in the attributes of the root, if it is there."""
    if (namespace := _NAMESPACE.search(attributes)) is None:
        return b""
    if schema.is_dmarc_namespace(namespace[1].decode("ascii")):
        return b' xmlns="%s"' % namespace[1]
    tolerated["namespace_unknown"] = None
    return b""


def _without_prefixes(document: bytes, content: bytes) -> bytes:
    """The content without the prefixes of the elements of reports."""
    prefixes = {prefix.group(1) for prefix in _PREFIXED.finditer(document)}
    for prefix in sorted(prefixes)[:MAX_PREFIXES]:
        content = content.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</")
    return content


def _end(document: bytes, start: int, tolerated: dict[str, None]) -> tuple[int, int]:
    """The end of the content, and of the root element; -1 if the document is cut off.

    Without the end tag of the root, the document must end with an element that is complete.
    """
    for tag in _ROOT_END.finditer(document, start):
        return tag.start(), tag.end()
    tail = document[-200:]
    if any(tag.end() == len(tail) for tag in _LAST_TAG.finditer(tail)):
        tolerated["root_not_closed"] = None
        return len(document), len(document)
    return -1, -1


def _with_valid_references(content: bytes, tolerated: dict[str, None]) -> bytes:
    """The content with each ``&`` as text, unless it begins a reference to a character."""

    def valid(reference: re.Match[bytes]) -> bytes:
        name = reference[1] or b""
        if name in _PREDEFINED or (name.startswith(b"#") and _is_character(name)):
            return reference[0]
        tolerated["markup_in_text"] = None
        if name.startswith(b"#"):
            return b""
        character = html.unescape(reference[0].decode("ascii"))
        return _escaped(character.encode("utf-8", "ignore"))

    return _REFERENCE.sub(valid, content)


def _is_character(name: bytes) -> bool:
    """Whether XML allows the character with this number."""
    digits = name[1:].decode("ascii").lower()
    number = int(digits[1:], 16) if digits.startswith("x") else int(digits)
    return number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0x110000


def _with_valid_tags(content: bytes) -> bytes:
    """The content with only the tags of reports and pairs of other tags; other ``<`` are text.

    Attributes and prefixes are removed, as they may be written in a way that is not XML.
    """
    balance: Counter[bytes] = Counter()
    for tag in _TAG.finditer(content):
        if tag[2] and not tag[3].endswith(b"/>"):
            balance[tag[2]] += -1 if tag[1] else 1

    def valid(tag: re.Match[bytes]) -> bytes:
        closes, name = tag[1], tag[2]
        if name is None:
            return b"&lt;"
        if name == b"feedback":
            return tag[0]
        is_known = name.lower() in schema.NAMES
        if not is_known and (balance[name] or tag[3].endswith(b"/>")):
            return _escaped(tag[0])
        empty = b"/" if tag[3].endswith(b"/>") and not closes else b""
        name = name.lower() if is_known else name.replace(b":", b"_")
        return b"<%s%s%s>" % (closes, name, empty)

    return _TAG.sub(valid, content).replace(b"]]>", b"]]&gt;")
