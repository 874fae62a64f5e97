"""The parts of an email message that may contain reports (RFC 2045, RFC 2046, RFC 5965 §2).

Parts are ranges of the raw text, located without copying it, and every limit is checked while
descending, so that no general message parser has to handle hostile nesting.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.protocols.mail import parameters, transfer_encoding
from app.protocols.report_formats.limits import KIB, FileRejected, Limits, ReportRejected

FEEDBACK = "message/feedback-report"
MESSAGES = ("message/rfc822", "message/global", "message/news")
ORIGINALS = (*MESSAGES, "text/rfc822-headers", "message/global-headers")
_MAX_LINES = 20_000  # that begin like a boundary
_MAX_BOUNDARY = 200
_MAX_FILE_NAME = 1_000
_SEARCHED = 64 * KIB  # for a boundary that the header does not name
_HEADER_SAMPLE = 16 * KIB

_MBOX = re.compile(rb">?From [^\r\n]*\r?\n")
_VALUE = rb"[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)"
_FIELD = re.compile(rb"^([!-9;-~]+)" + _VALUE, re.MULTILINE)
_EVIDENT = re.compile(
    rb"(?:\A|\n)--([^\s-][^\r\n]{0,199}|-[^\r\n]{0,199}?[^\r\n-])[ \t]*\r?\n"
    rb"(?=Content-[a-z-]{3,40}[ \t]*:)",
    re.IGNORECASE,
)
# They begin with a literal, for which the regular expression engine searches quickly.
_WELL_KNOWN = re.compile(
    rb"\n((?i:From|To|Cc|Subject|Date|Received|Return-Path|Delivered-To|X-Original-To|Message-ID"
    rb"|MIME-Version|Content-Type|DKIM-Signature|X-Mozilla-Status|X-Gmail-Labels))[ \t]*:"
)
_CONTENT_FIELD = re.compile(rb"\n([Cc](?i:ontent-(?:Type|Transfer-Encoding|Disposition)))" + _VALUE)
_SENDER_FIELD = re.compile(rb"\n((?i:From|Subject|Return-Path))" + _VALUE)
_FIRST_FIELD = re.compile(rb"(?:>?From [^\r\n]*\r?\n)?[!-9;-~]{1,76}+[ \t]*:")

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part without further parts; an attached message is one.

    path      part numbers from the outermost to this one: "2.1"; "" is the message itself
    depth     of the multiparts that contain it
    original  for a feedback report: the headers of the failed message
    fields    about the content: the first value of each
    """

    path: str
    media_type: str
    encoding: str
    body: bytes
    depth: int = 0
    original: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)

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
        return self.media_type in MESSAGES

    def content(self) -> bytes:
        """The decoded content; unchanged if it cannot be decoded."""
        return transfer_encoding.decode(self.body, self.encoding)


@dataclass(slots=True)
class Cost:
    """What the messages of one file cost so far."""

    parts: int = 0
    header_bytes: int = 0
    boundary_lines: int = 0


def headers(block: bytes) -> Headers:
    """The fields of a header block in order: names in lower case, values unfolded."""
    return _unfolded(_FIELD.findall(block))


def sender_fields(block: bytes) -> Headers:
    """Only the fields From, Subject and Return-Path of a header block, as ``headers``."""
    return _unfolded(_SENDER_FIELD.findall(b"\n" + block))


def first(fields: Headers, name: str) -> str:
    """The first value of the field; "" if it is absent."""
    return next((value for field_name, value in fields if field_name == name), "")


def header_block(raw: bytes) -> bytes:
    """The header of a message."""
    if raw.startswith((b"\n", b"\r\n")):
        return raw[:1]
    stop, _ = _end_of_header(raw, 0, len(raw))
    return raw[:stop]


def is_message(content: bytes) -> bool:
    """Whether the content begins like an email message: with two well-known header fields."""
    if not _FIRST_FIELD.match(content):
        return False
    names = set()
    for match in _WELL_KNOWN.finditer(b"\n" + header_block(content[:_HEADER_SAMPLE])):
        names.add(match[1].lower())
        if len(names) > 1:
            return True
    return False


def normalized(content: bytes) -> bytes:
    """The content without a byte order mark and empty lines before it, with usual line ends."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content[:1] in b"\r\n \t":
        content = content.lstrip(b"\r\n \t")
    line = content[:_HEADER_SAMPLE].partition(b"\n")[0]
    if b"\r" not in line[:-1]:
        return content
    if line.endswith(b"\r\r"):
        return content.replace(b"\r\r\n", b"\r\n")
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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
            depth=depth,
            fields=fields,
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
        stop, body = _end_of_header(self.raw, start, limit)
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
        fields = _unfolded(_CONTENT_FIELD.findall(b"\n" + self.raw[start:stop]))
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
                yield replace(feedback, original=original)
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
        if parameters.media_type(fields.get("content-type", "")) not in ORIGINALS:
            return None
        encoding = transfer_encoding.name(fields.get("content-transfer-encoding", ""))
        raw = self.raw[body : min(end, body + self.limits.mime_headers)]
        return header_block(transfer_encoding.decode(raw, encoding))

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


def _unfolded(fields: Sequence[tuple[bytes, bytes]]) -> Headers:
    return [
        (name.decode("ascii").lower(), " ".join(value.decode("utf-8", "replace").split()))
        for name, value in fields
    ]


def _end_of_header(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """The end of the last header line and the start of the body; ``end`` twice without a body.

    It searches for the usual line end first, so that it does not read the body.
    """
    line = raw.find(b"\n", start, end)
    is_crlf = line > start and raw[line - 1] == 0x0D
    stop = body = end
    for blank in (b"\n\r\n", b"\n\n") if is_crlf else (b"\n\n", b"\n\r\n"):
        position = raw.find(blank, start, min(stop + 1, end))
        if position >= 0:
            stop, body = position + 1, position + len(blank)
    return stop, body
