"""The parts of an email message that may contain reports (RFC 2045, RFC 2046, RFC 5965 §2).

Parts are ranges of the raw text, located without copying it, and every limit is checked while
descending, so that no general message parser has to handle hostile nesting.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.protocols.mail import mime, parameters, transfer_encoding
from app.protocols.report_formats.limits import KIB, FileRejected, Limits, ReportRejected

FEEDBACK = "message/feedback-report"
_MAX_LINES = 20_000  # that begin like a boundary
_MAX_BOUNDARY = 200
_MAX_FILE_NAME = 1_000
_SEARCHED = 64 * KIB  # for a boundary that the header does not name

_MBOX = re.compile(rb">?From [^\r\n]*\r?\n")
_EVIDENT = re.compile(
    rb"(?:\A|\n)--([^\s-][^\r\n]{0,199}|-[^\r\n]{0,199}?[^\r\n-])[ \t]*\r?\n"
    rb"(?=Content-[a-z-]{3,40}[ \t]*:)",
    re.IGNORECASE,
)


class Part(NamedTuple):
    """A part without further parts; an attached message is one.

    path      part numbers from the outermost to this one: "2.1"; "" is the message itself
    fields    about the content: the first value of each
    depth     of the multiparts that contain it
    original  for a feedback report: the headers of the failed message
    """

    path: str
    media_type: str
    encoding: str
    body: bytes
    fields: Mapping[str, str]
    depth: int = 0
    original: bytes = b""

    @property
    def file_name(self) -> str:
        """The name of the part (RFC 2183 §2.3), or else that of its content; "" if it has none."""
        get = self.fields.get
        disposition = parameters.parameter(get("content-disposition", ""), "filename")
        name = disposition or parameters.parameter(get("content-type", ""), "name")
        return name[:_MAX_FILE_NAME]

    @property
    def is_feedback(self) -> bool:
        """Whether this is the machine-readable part of a failure report."""
        return self.media_type == FEEDBACK

    @property
    def is_message(self) -> bool:
        """Whether this is declared to be an attached message."""
        return self.media_type in mime.MESSAGES

    def content(self) -> bytes:
        """The decoded content; unchanged if it cannot be decoded."""
        return transfer_encoding.decode(self.body, self.encoding)


@dataclass(slots=True)
class Cost:
    """What the messages of one file cost so far."""

    parts: int = 0
    header_bytes: int = 0
    boundary_lines: int = 0


def parts(
    raw: bytes, limits: Limits, cost: Cost | None = None, path: str = "", depth: int = 0
) -> Iterator[Part]:
    """The leaf parts of a message in order.

    cost    of the file so far
    path    of the message in the file
    depth   of the messages and multiparts that contain it
    raises  ReportRejected if it is nested too deeply or has too many parts or too long headers
    """
    match = _MBOX.match(raw)
    start = match.end() if match else 0
    return _Walk(raw, limits, cost or Cost()).entity(start, len(raw), path, depth)


class _Walk:
    """One traversal of a message."""

    def __init__(self, raw: bytes, limits: Limits, cost: Cost) -> None:
        self.raw, self.limits, self.cost = raw, limits, cost
        self.header_bytes = 0

    def entity(
        self, start: int, end: int, path: str, depth: int, default: str = ""
    ) -> Iterator[Part]:
        """The leaf parts between ``start`` and ``end``; ``default`` is the default media type."""
        self._count(depth)
        fields, body = self._header(start, end)
        value = fields.get("content-type", "")
        media_type = parameters.media_type(value) or default
        if media_type.startswith("multipart/") or not media_type:
            declared = parameters.parameter(value, "boundary")
            is_digest = media_type == "multipart/digest"
            is_multipart = False
            for part in self._multipart(declared, (body, end), path, depth, is_digest):
                is_multipart = True
                yield part
            if is_multipart:
                return
        encoding = transfer_encoding.name(fields.get("content-transfer-encoding", ""))
        yield Part(
            path=path,
            media_type=media_type or "text/plain",
            encoding=encoding,
            body=self.raw[body:end],
            fields=fields,
            depth=depth,
        )

    def _count(self, depth: int) -> None:
        if depth > self.limits.mime_depth:
            raise ReportRejected(
                "too_deep", f"Parts are nested more than {self.limits.mime_depth} levels deep"
            )
        self.cost.parts += 1
        if self.cost.parts > self.limits.mime_parts:
            raise FileRejected(
                "too_many_parts", f"The file has more than {self.limits.mime_parts} message parts"
            )

    def _header(self, start: int, end: int) -> tuple[Mapping[str, str], int]:
        """The first value of each field about the content, and the offset of the body."""
        room = self.limits.mime_headers - self.header_bytes
        if self.raw.startswith((b"\n", b"\r\n"), start, end):
            return {}, self.raw.index(b"\n", start, end) + 1
        limit = min(end, start + room + 4)
        stop, body = mime.end_of_header(self.raw, start, limit)
        if stop == body:  # the end is not within the limit
            stop = body = end
        self.header_bytes += stop - start
        self.cost.header_bytes += stop - start
        if stop - start > room:
            raise ReportRejected(
                "too_large", f"The headers have more than {self.limits.mime_headers} bytes"
            )
        if self.cost.header_bytes > self.limits.mime_headers_all:
            raise FileRejected(
                "too_large",
                f"The headers of all messages have more than {self.limits.mime_headers_all} bytes",
            )
        fields = mime.content_fields(self.raw[start:stop])
        return dict(reversed(fields)), body

    def _multipart(
        self, declared: str, span: tuple[int, int], path: str, depth: int, is_digest: bool
    ) -> Iterator[Part]:
        """The leaf parts of a multipart; the message after a feedback report is attached to it."""
        feedback: Part | None = None
        default = "message/rfc822" if is_digest else "text/plain"
        for number, (begin, stop) in enumerate(self._ranges(declared, *span), 1):
            inner = f"{path}.{number}".lstrip(".")
            if feedback and (original := self._original(begin, stop)) is not None:
                yield feedback._replace(original=original)
                feedback = None
                continue
            for part in self.entity(begin, stop, inner, depth + 1, default):
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
        if parameters.media_type(fields.get("content-type", "")) not in mime.ORIGINALS:
            return None
        encoding = transfer_encoding.name(fields.get("content-transfer-encoding", ""))
        raw = self.raw[body : min(end, body + self.limits.mime_headers)]
        return mime.header_block(transfer_encoding.decode(raw, encoding))

    def _ranges(self, declared: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a multipart, at a boundary that is evident if not at the declared one."""
        if 0 < len(declared) <= _MAX_BOUNDARY:
            boundary = declared.encode("utf-8", "surrogateescape")
            first_range = next(ranges := self._delimited(boundary, start, end), None)
            if first_range:
                yield first_range
                yield from ranges
                return
        if match := _EVIDENT.search(self.raw, start, min(end, start + _SEARCHED)):
            yield from self._delimited(match[1].rstrip(), start, end)

    def _delimited(self, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The start and end of each part of a multipart; the closing boundary may be missing."""
        delimiter = b"--" + boundary
        raw, begin, position = self.raw, -1, start - 1
        while (position := raw.find(delimiter, position + 1, end)) >= 0:
            self._count_boundary()
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

    def _count_boundary(self) -> None:
        self.cost.boundary_lines += 1
        if self.cost.boundary_lines > _MAX_LINES:
            raise FileRejected(
                "too_many_parts", f"The file has more than {_MAX_LINES} boundary lines"
            )
