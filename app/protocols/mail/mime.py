"""The parts of an email message that may contain reports (RFC 2045, RFC 2046, RFC 5965 §2).

Parts are ranges of the raw text, located without copying it, and every limit is checked while
descending, so that no general message parser has to handle hostile nesting.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.protocols.report_formats.limits import Limits, ReportRejected

FEEDBACK = "message/feedback-report"
ORIGINALS = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_MAX_LINES = 20_000  # that begin like a boundary

_MBOX = re.compile(rb">?From [^\r\n]*\r?\n")
_END_OF_HEADERS = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)", re.MULTILINE)
_TYPE = re.compile(r"\s*([\w.+-]{1,70}/[\w.+-]{1,70})", re.ASCII)
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.){1,200})"|([^\s;"]{1,200}))', re.I)
_NAME = re.compile(r';\s*(?:file)?name\s*=\s*(?:"([^"]{1,1000})|([^\s;"]{1,1000}))', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part without further parts.

    path      part numbers from the outermost to this one: "2.1"; "" is the message itself
    original  for a feedback report: the headers of the failed message
    file_name as the sender named the part; "" if it did not
    """

    path: str
    media_type: str
    encoding: str
    body: bytes
    original: bytes = b""
    file_name: str = ""

    @property
    def is_feedback(self) -> bool:
        """Whether this is the machine-readable part of a failure report."""
        return self.media_type == FEEDBACK

    def content(self) -> bytes:
        """The decoded content; unchanged if it cannot be decoded."""
        if self.encoding == "base64":
            return _unbase64(self.body)
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        return self.body


def headers(block: bytes) -> Headers:
    """The fields of a header block in order: names in lower case, values unfolded."""
    return [
        (name.decode("ascii").lower(), " ".join(value.decode("utf-8", "replace").split()))
        for name, value in _FIELD.findall(block)
    ]


def first(fields: Headers, name: str) -> str:
    """The first value of the field; "" if it is absent."""
    return next((value for field_name, value in fields if field_name == name), "")


def header_block(raw: bytes) -> bytes:
    """The header of a message."""
    match = _END_OF_HEADERS.search(raw)
    return raw[: match.start() + 1] if match else raw


def parts(raw: bytes, limits: Limits) -> Iterator[Part]:
    """The leaf parts of a message in order, including those of attached messages.

    raises  ReportRejected if it is nested too deeply or has too many parts or too long headers
    """
    match = _MBOX.match(raw)
    return _Walk(raw, limits).entity(match.end() if match else 0, len(raw), "", 0)


class _Walk:
    """One traversal of a message, with the cost so far."""

    def __init__(self, raw: bytes, limits: Limits) -> None:
        self.raw, self.limits = raw, limits
        self.count = self.header_bytes = self.lines = 0

    def entity(self, start: int, end: int, path: str, depth: int) -> Iterator[Part]:
        """The leaf parts between ``start`` and ``end``."""
        if depth > self.limits.mime_depth:
            raise ReportRejected(
                "too_deep", f"parts are nested more than {self.limits.mime_depth} levels deep"
            )
        self.count += 1
        if self.count > self.limits.mime_parts:
            raise ReportRejected(
                "too_many_parts", f"the message has more than {self.limits.mime_parts} parts"
            )
        fields, body = self._header(start, end)
        media_type, boundary = _content_type(first(fields, "content-type"))
        if media_type.startswith("multipart/") and boundary:
            yield from self._multipart(boundary, body, end, path, depth)
            return
        encoding = first(fields, "content-transfer-encoding").lower()
        is_plain = encoding not in ("base64", "quoted-printable")
        if media_type in ("message/rfc822", "message/global") and is_plain:
            yield from self.entity(body, end, f"{path}.1".lstrip("."), depth + 1)
            return
        yield Part(
            path=path,
            media_type=media_type,
            encoding=encoding,
            body=self.raw[body:end],
            file_name=_file_name(fields),
        )

    def _header(self, start: int, end: int) -> tuple[Headers, int]:
        """The header fields, and the offset of the body."""
        room = self.limits.mime_headers - self.header_bytes
        if self.raw.startswith((b"\n", b"\r\n"), start, end):
            return [], self.raw.index(b"\n", start, end) + 1
        match = _END_OF_HEADERS.search(self.raw, start, min(end, start + room + 4))
        stop, body = (match.start() + 1, match.end()) if match else (end, end)
        self.header_bytes += stop - start
        if stop - start > room:
            raise ReportRejected(
                "too_large", f"the headers have more than {self.limits.mime_headers} bytes"
            )
        return headers(self.raw[start:stop]), body

    def _multipart(
        self, boundary: str, start: int, end: int, path: str, depth: int
    ) -> Iterator[Part]:
        """The leaf parts of a multipart; the message after a feedback report is attached to it."""
        feedback: Part | None = None
        for number, (begin, stop) in enumerate(self._ranges(boundary, start, end), 1):
            inner = f"{path}.{number}".lstrip(".")
            if feedback and (original := self._original(begin, stop)) is not None:
                yield Part(
                    path=feedback.path,
                    media_type=FEEDBACK,
                    encoding=feedback.encoding,
                    body=feedback.body,
                    original=original,
                )
                feedback = None
                continue
            for part in self.entity(begin, stop, inner, depth + 1):
                if feedback and part.is_feedback:
                    yield feedback
                if part.is_feedback and not part.original:
                    feedback = part
                else:
                    yield part
        if feedback:
            yield feedback

    def _original(self, start: int, end: int) -> bytes | None:
        """The headers in a part with a message or its headers; None for any other part."""
        fields, body = self._header(start, end)
        if _content_type(first(fields, "content-type"))[0] not in ORIGINALS:
            return None
        encoding = first(fields, "content-transfer-encoding").lower()
        part = Part(
            path="",
            media_type="",
            encoding=encoding,
            body=self.raw[body : min(end, body + self.limits.mime_headers)],
        )
        return header_block(part.content())

    def _ranges(self, boundary: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The start and end of each part of a multipart; the closing boundary may be missing."""
        delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
        raw, begin, position = self.raw, -1, start - 1
        while (position := raw.find(delimiter, position + 1, end)) >= 0:
            self.lines += 1
            if self.lines > _MAX_LINES:
                raise ReportRejected(
                    "too_many_parts", f"the message has more than {_MAX_LINES} boundary lines"
                )
            line = raw.find(b"\n", position, end)
            line = end if line < 0 else line
            rest = raw[
                position + len(delimiter) : min(line, position + len(delimiter) + 80)
            ].strip()
            if (position > start and raw[position - 1] != 0x0A) or rest not in (b"", b"--"):
                continue
            if begin >= 0:
                yield begin, max(begin, position - 2 if raw[position - 2] == 0x0D else position - 1)
            if rest:
                return
            begin = min(line + 1, end)
        if begin >= 0:
            yield begin, end


def _file_name(fields: Headers) -> str:
    """The name of the part (RFC 2183 §2.3), or else that of its content."""
    for name in ("content-disposition", "content-type"):
        if match := _NAME.search(first(fields, name)):
            return match[1] or match[2] or ""
    return ""


def _content_type(value: str) -> tuple[str, str]:
    """The media type in lower case, and the boundary or ""."""
    kind = _TYPE.match(value)
    match = _BOUNDARY.search(value)
    boundary = _ESCAPED.sub(r"\1", match[1]) if match and match[1] else match[2] if match else ""
    return (kind[1].lower() if kind else "text/plain"), boundary


def _unbase64(body: bytes) -> bytes:
    """The content decoded up to the padding, if any; lists append footers after it."""
    end = body.find(b"=")
    text = body if end < 0 else body[: end + 2]
    for padding in (b"", b"=", b"=="):
        try:
            return binascii.a2b_base64(text + padding)
        except binascii.Error:
            continue
    return body
