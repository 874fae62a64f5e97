"""XML documents as UTF-8 text: encodings, and a limit on tokens that are slow to parse."""

import re

from app.protocols.report_formats import encodings
from app.protocols.report_formats.limits import Limits, ReportRejected

MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
UNMARKED = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))  # XML without a byte order mark
ASCII_LABELS = ("ascii", "us-ascii")

_DECLARED = re.compile(rb"""<\?xml[^>]{1,100}?\bencoding\s*=\s*["']([^"'<>]{1,40})["']""")
_BLANK = b" \t\r\n"


def in_utf8(document: bytes, limits: Limits, tolerated: dict[str, None]) -> bytes:
    """The document in UTF-8, starting at its first ``<``.

    tolerated  receives the codes of deviations that were tolerated
    raises     ReportRejected, also if a token is so long that expat would be slow
    """
    bare, encoding = without_mark(document)
    if not encoding:
        stripped = bare.lstrip(_BLANK)
        if len(stripped) < len(bare) and stripped.startswith(b"<?xml"):
            tolerated["blank_before_declaration"] = None
        bare, encoding = stripped, declared(stripped, tolerated)
    if encoding != "utf-8":
        if len(bare) > limits.xml_recoded:
            raise ReportRejected(
                "too_large", f"the document has more than {limits.xml_recoded} bytes in {encoding}"
            )
        try:
            bare = bare.decode(encoding).encode("utf-8")
        except UnicodeError:
            raise ReportRejected("encoding", f"the document is not valid {encoding}") from None
    bare = bare.lstrip(_BLANK)
    if len(bare) > limits.token:
        _check_tokens(bare, limits)
    return bare


def without_mark(document: bytes) -> tuple[bytes, str]:
    """The document without its byte order mark, and the encoding that it has for certain, or ""."""
    for mark, encoding in MARKS:
        if document.startswith(mark):
            return document[len(mark) :], encoding
    return document, next((name for mark, name in UNMARKED if document.startswith(mark)), "")


def beginning(document: bytes, size: int) -> bytes:
    """The first bytes of a document in UTF-8, without byte order marks."""
    start, encoding = document[:size], "utf-8"
    while encoding == "utf-8":
        start, encoding = without_mark(start)
    return start.decode(encoding, "ignore").encode() if encoding else start


def declared(document: bytes, tolerated: dict[str, None]) -> str:
    """The encoding in the XML declaration, as the name of a codec; UTF-8 by default.

    raises  ReportRejected if the encoding is unknown
    """
    declaration = _DECLARED.match(document[:200])
    label = declaration[1].decode("latin-1").strip().lower() if declaration else "utf-8"
    encoding = encodings.codec(label)
    if encoding is None:
        raise ReportRejected("encoding", "the declared encoding is unknown")
    if encoding.startswith("utf-16"):  # the declaration was read as ASCII, so this is not UTF-16
        tolerated["encoding_mismatch"] = None
    if encoding.startswith("utf-16") or label in ASCII_LABELS:
        return "utf-8"
    return encoding


def _check_tokens(document: bytes, limits: Limits) -> None:
    """Refuse long tokens, which expat before 2.6.0 reads again with each buffer.

    Every stretch of token length must contain a ``<``, which no tag has inside; comments and
    processing instructions may contain it, so their length is checked separately.
    """
    find, length = document.find, limits.token
    for start in range(0, len(document) - length, length):
        if find(b"<", start, start + length) < 0:
            raise ReportRejected("token_too_long", f"the document has {length} bytes without a tag")
    for opening, closing in ((b"<!--", b"-->"), (b"<?", b"?>")):
        start = find(opening)
        while start >= 0:
            end = find(closing, start, start + length)
            if end < 0:
                raise ReportRejected(
                    "token_too_long", f"{opening.decode()} is not closed within {length} bytes"
                )
            start = find(opening, end)
