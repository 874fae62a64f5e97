"""Unwraps report files: gzip, zip and email messages. No other module unpacks anything.

The type of a file is detected from its content, never from its name or media type. Sizes that a
file states are not trusted: the inflated size is measured before anything is stored.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.protocols.mail import mime
from app.protocols.mail.mime import Part
from app.protocols.report_formats import xml_text, zip_entries
from app.protocols.report_formats.failure_text import FailureMail
from app.protocols.report_formats.limits import KIB, LIMITS, Limits, ReportRejected

ReportFormat = Literal["dmarc", "tls", "failure"]

GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")

_PIECE = 64 * KIB
_GZIP_BITS, _DEFLATE_BITS = 31, -15
_BEGINNING = 4 * KIB
_MAIL = re.compile(rb"(?:>?From [^\r\n]*\r?\n)?[!-9;-~]{1,76}[ \t]*:")
_FEEDBACK = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?feedback[\s>/]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One report in a file, or the reason why it could not be unwrapped.

    path      its position: numbers of parts and entries; "" if the file itself is the report
    kind      None if it was refused before its kind was known
    document  the report's XML or JSON; for a failure report, the feedback part
    original  for a failure report: the headers of the failed message
    rejected  the reason if there is no document
    header    of the message that contains it; b"" if none does
    file_name of the message part that contains it; "" if it has none
    """

    path: str
    kind: ReportFormat | None
    document: bytes = b""
    original: bytes = b""
    rejected: ReportRejected | None = None
    header: bytes = b""
    file_name: str = ""


def unwrap(raw: bytes, limits: Limits = LIMITS) -> Sequence[Entry]:
    """The reports in a file, in order: at least one, although all may be rejected.

    raises  ReportRejected if the whole file is unusable or contains no report
    """
    unwrapping = _Unwrapping(limits)
    if len(raw) > limits.inflated:
        raise ReportRejected("too_large", f"the file has more than {limits.inflated} bytes")
    if is_mail(raw):
        members = list(unwrapping.mail(raw))
        if not members:
            raise ReportRejected("no_report", "the message contains no report")
        return members
    members = list(unwrapping.file(raw, ""))
    if len(members) == 1 and members[0].rejected:
        raise members[0].rejected
    return members


def is_mail(raw: bytes) -> bool:
    """Whether the content begins like an email message and not like a report."""
    return _kind(raw) is None and bool(_MAIL.match(raw))


class _Unwrapping:
    """Unwraps one file; the inflated sizes of all its parts count together."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.left = limits, limits.inflated

    def mail(self, raw: bytes) -> Iterator[Entry]:
        """The reports in a message: in any of its parts, and in attached messages."""
        header, is_empty = mime.header_block(raw[: self.limits.mime_headers]), True
        failure = FailureMail(mime.headers(header))
        for part in mime.parts(raw, self.limits):
            if failure.takes(part):
                continue
            for entry in self._part(part):
                is_empty = False
                yield replace(entry, header=header, file_name=part.file_name)
        if is_empty and (text := failure.report()):
            yield Entry("", "failure", text.feedback, original=text.original, header=header)

    def _part(self, part: Part) -> Iterator[Entry]:
        """The reports in one part of a message."""
        if part.is_feedback:
            yield Entry(
                path=part.path, kind="failure", document=part.content(), original=part.original
            )
        else:
            content = part.content()
            if content.startswith((GZIP, *ZIP)) or _looks_like_report(content, part.media_type):
                yield from self.file(content, part.path)

    def file(self, content: bytes, path: str) -> Iterator[Entry]:
        """The reports in a file that is not a message."""
        try:
            if content.startswith(ZIP):
                yield from self._zip(content, path)
                return
            if content.startswith(GZIP):
                content = self._gunzip(content)
            yield self._report(content, path)
        except ReportRejected as refused:
            yield Entry(path, None, rejected=refused)

    def _zip(self, content: bytes, path: str) -> Iterator[Entry]:
        for number, entry in enumerate(zip_entries.entries(content, self.limits), 1):
            inner = f"{path}/{number}" if path else str(number)
            try:
                document = entry.data
                if entry.is_deflated:
                    document, _ = self._inflate(entry.data, _DEFLATE_BITS)
                if zlib.crc32(document) != entry.crc:
                    raise ReportRejected(
                        "damaged", "a file in the zip archive has a wrong checksum"
                    )
                yield self._report(document, inner)
            except ReportRejected as refused:
                yield Entry(inner, None, rejected=refused)

    def _report(self, document: bytes, path: str) -> Entry:
        if document.startswith((GZIP, *ZIP)):
            raise ReportRejected("nested", "the archive contains another archive")
        kind = _kind(document)
        if not kind and _FEEDBACK.search(xml_text.beginning(document, _BEGINNING)):
            kind = "dmarc"  # text precedes the report
        if not kind:
            raise ReportRejected("not_a_report", "the file is neither XML nor JSON")
        return Entry(path, kind, document)

    def _gunzip(self, content: bytes) -> bytes:
        document, end = self._inflate(content, _GZIP_BITS)
        rest = content[end:].lstrip(b"\0\r\n")
        if rest.startswith(GZIP):
            raise ReportRejected("too_many_members", "the gzip file has more than one member")
        if rest:
            raise ReportRejected("damaged", "unexpected data follows the gzip data")
        return document

    def _inflate(self, content: bytes, bits: int) -> tuple[bytes, int]:
        """The inflated content, and the end of the compressed data."""
        try:
            size, end = self._measure(content, bits)
            self.left -= size
            return zlib.decompress(content[:end], bits, max(size, 1)), end
        except zlib.error:
            raise ReportRejected("damaged", "the compressed data is corrupt") from None

    def _measure(self, content: bytes, bits: int) -> tuple[int, int]:
        """The inflated size, and the end of the compressed data; nothing is stored."""
        inflater, size, limits = zlib.decompressobj(bits), 0, self.limits
        most = min(self.left, max(limits.ratio * len(content), limits.ratio_from))
        pending = content
        while not inflater.eof:
            piece = inflater.decompress(pending, _PIECE)
            pending = inflater.unconsumed_tail
            size += len(piece)
            if size > most:
                raise self._too_large(size)
            if not piece and not pending and not inflater.eof:
                raise ReportRejected("damaged", "the compressed data is truncated")
        return size, len(content) - len(inflater.unused_data)

    def _too_large(self, size: int) -> ReportRejected:
        if size > self.left:
            return ReportRejected(
                "too_large", f"the file inflates to more than {self.limits.inflated} bytes"
            )
        return ReportRejected(
            "ratio", f"the file inflates to more than {self.limits.ratio} times its size"
        )


def _kind(document: bytes) -> ReportFormat | None:
    """The kind of report by the first character of the document."""
    first = xml_text.beginning(document, _BEGINNING).lstrip()[:1]
    return "dmarc" if first == b"<" else "tls" if first in (b"{", b"[") else None


def _looks_like_report(content: bytes, media_type: str) -> bool:
    """Whether a message part is a report itself, and not accompanying text."""
    kind = _kind(content)
    if kind == "tls":
        return "json" in media_type or b'"policies"' in content or b'"report-id"' in content
    if kind == "dmarc":
        beginning = content[:_BEGINNING]
        return "xml" in media_type or bool(_FEEDBACK.search(beginning.replace(b"\0", b"")))
    return False
