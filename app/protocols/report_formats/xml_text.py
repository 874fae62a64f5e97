"""XML documents as UTF-8 text: encodings, and a limit on tokens that are slow to parse."""

import re

from app.protocols.report_formats.limits import Limits, ReportRejected

ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16")
MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

_DECLARED = re.compile(rb"""<\?xml[^>]{1,100}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_BLANK = b" \t\r\n"


def in_utf8(document: bytes, limits: Limits, tolerated: dict[str, None]) -> bytes:
    """The document in UTF-8, starting at its first ``<``.

    tolerated  receives the deviations that were tolerated
    raises     ReportRejected, also if a token is so long that expat would be slow
    """
    mark, encoding = next((pair for pair in MARKS if document.startswith(pair[0])), (b"", ""))
    document = document[len(mark) :]
    if not mark:
        bare = document.lstrip(_BLANK)
        if len(bare) < len(document) and bare.startswith(b"<?xml"):
            tolerated["white space precedes the XML declaration"] = None
        document, encoding = bare, _declared(bare, tolerated)
    if encoding not in ("utf-8", "us-ascii"):
        if len(document) > limits.xml_recoded:
            raise ReportRejected(
                "too_large", f"the document has more than {limits.xml_recoded} bytes in {encoding}"
            )
        try:
            document = document.decode(encoding).encode("utf-8")
        except UnicodeError:
            raise ReportRejected("encoding", f"the document is not valid {encoding}") from None
    document = document.lstrip(_BLANK)
    if len(document) > limits.token:
        _check_tokens(document, limits)
    return document


def _declared(document: bytes, tolerated: dict[str, None]) -> str:
    declaration = _DECLARED.match(document[:200])
    encoding = declaration[1].decode("ascii").lower() if declaration else "utf-8"
    if encoding == "utf-16":  # the declaration was read as ASCII, so this is not UTF-16
        tolerated["the encoding is declared as UTF-16 but is UTF-8"] = None
        return "utf-8"
    if encoding not in ENCODINGS:
        raise ReportRejected("encoding", f"the encoding {encoding} is not supported")
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
