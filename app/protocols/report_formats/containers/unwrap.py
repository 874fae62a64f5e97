"""Unwraps report files: archives, compressed files, email messages and mbox files in one another.

The type of a file is detected from its content, never from its name or media type. All contents of
a file together are limited in number and size.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from app.protocols.mail import mbox, mime, transfer_encoding
from app.protocols.report_formats import file_types, message_parts, xml_text
from app.protocols.report_formats.containers import (
    inflation,
    mails_without_report,
    tar_entries,
    zip_entries,
)
from app.protocols.report_formats.containers.entries import Entry, OnlyEntryRejected, ReportFormat
from app.protocols.report_formats.containers.inflation import Inflation
from app.protocols.report_formats.failure_text import FailureMail
from app.protocols.report_formats.limits import (
    KIB,
    LIMITS,
    FileRejected,
    Limits,
    ReportRejected,
)
from app.protocols.report_formats.message_parts import Part
from app.protocols.report_formats.parsedmarc import documents as parsedmarc

ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_BEGINNING = 4 * KIB
_MAIL = re.compile(rb"(?:>?From [^\r\n]*\r?\n)?[!-9;-~]{1,76}+[ \t]*:")
_DOCUMENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,20}(?:<\?xml|<[\w:.-]{0,20}feedback|\{\s{0,20}\""
    rb"|From |From:|Received:|Return-Path:|Delivered-To:)"
)
_FEEDBACK = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?feedback[\s>/]")


class _Depth(NamedTuple):
    """How deep content is nested: in archives and compressed files, and in messages."""

    archives: int = 0
    mails: int = 0


def unwrap(raw: bytes, limits: Limits = LIMITS) -> Sequence[Entry]:
    """The reports in a file, in order: at least one, although all may be rejected.

    raises  ReportRejected if the whole file is unusable or contains no report
    """
    unwrapping = _Unwrapping(limits, len(raw))
    if len(raw) > limits.inflated:
        raise ReportRejected("too_large", f"The file has more than {limits.inflated} bytes")
    members = list(unwrapping.file(raw, "", _Depth()))
    if len(members) == 1 and members[0].rejected:
        raise OnlyEntryRejected(members[0], members[0].rejected)
    return members


def is_mail(raw: bytes) -> bool:
    """Whether the content is one email message and does not begin like a report."""
    return _kind(raw) is None and bool(_MAIL.match(raw)) and not mbox.has_several_messages(raw)


class _Unwrapping:
    """Unwraps one file; the sizes and numbers of all its parts count together."""

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits, self.inflation = limits, Inflation(limits, size)
        self.mime_cost = message_parts.Cost()
        self.members = self.mails = 0

    def file(self, content: bytes, path: str, depth: _Depth) -> Iterator[Entry]:
        """The reports in a file of any type; a rejected one if it cannot be read."""
        try:
            yield from self._file(content, path, depth)
        except FileRejected:
            raise
        except ReportRejected as rejected:
            yield Entry(path, None, rejected=rejected)

    def _file(self, content: bytes, path: str, depth: _Depth) -> Iterator[Entry]:
        if file_types.is_evident(content):
            yield Entry(path, "dmarc", content)
        elif compression := inflation.compression(content):
            yield from self._decompressed(content, compression, path, self._deeper(depth))
        elif content.startswith(ZIP):
            yield from self._archive(self._zip(content), path, self._deeper(depth))
        elif tar_entries.is_tar(content):
            files = tar_entries.entries(content, self.limits)
            yield from self._archive(files, path, self._deeper(depth))
        elif parsedmarc.is_output(content):
            yield from self._imported(content, path)
        elif file_type := file_types.identify(content):
            raise file_type.rejected()
        elif kind := _kind(content):
            yield Entry(path, kind, content)
        else:
            yield from self._text(content, path, depth)

    def _imported(self, content: bytes, path: str) -> Iterator[Entry]:
        """The reports in the output of another product."""
        for number, document in enumerate(parsedmarc.read(content, self.limits), 1):
            self._count_member()
            entry = Entry(_below(path, number), document.kind, document.content, is_imported=True)
            yield entry._replace(rejected=document.rejected)

    def _text(self, content: bytes, path: str, depth: _Depth) -> Iterator[Entry]:
        """The reports in messages, or in a file that is pasted into text."""
        start = mime.normalized(content)
        if messages := mbox.messages(start):
            yield from self._mbox(messages, path, depth)
        elif mime.is_message(start) or (depth == _Depth() and _MAIL.match(start)):
            yield from self.mail(start, path, depth)
        elif text := _decoded_text(content):
            self.inflation.charge(len(text))
            yield from self._file(text, path, self._deeper(depth))
        elif _FEEDBACK.search(xml_text.beginning(content, _BEGINNING)):
            yield Entry(path, "dmarc", content)  # text precedes the report
        else:
            raise file_types.describe(content).rejected()

    def _deeper(self, depth: _Depth) -> _Depth:
        """The depth in an archive at this depth."""
        if depth.archives == self.limits.archive_depth:
            raise ReportRejected(
                "nested",
                f"Archives are nested more than {self.limits.archive_depth} levels deep. "
                "Unpack the file, and send what is in it",
            )
        return _Depth(depth.archives + 1, depth.mails)

    def _decompressed(
        self, content: bytes, compression: inflation.Compression, path: str, depth: _Depth
    ) -> Iterator[Entry]:
        inflated = self.inflation.decompress(content, compression)
        for number, document in enumerate(inflated.documents, 1):
            inner = path if len(inflated.documents) == 1 else _below(path, number)
            for entry in self._file(document, inner, depth):
                if inflated.warnings:
                    entry = entry._replace(warnings=(*entry.warnings, *inflated.warnings))
                yield entry

    def _archive(
        self, files: Iterable[bytes | ReportRejected], path: str, depth: _Depth
    ) -> Iterator[Entry]:
        """The reports in an archive. Accompanying files are ignored if there are reports."""
        other: bytes | None = None
        is_empty = True
        for number, content in enumerate(files, 1):
            self._count_member()
            inner = _below(path, number)
            if isinstance(content, ReportRejected):
                is_empty = False
                yield Entry(inner, None, rejected=content)
            elif not _may_have_reports(content):
                other = other or content
            else:
                is_empty = False
                yield from self.file(content, inner, depth)
        if is_empty and other is not None:
            raise file_types.describe(other).rejected("The archive contains only a file that is")
        if is_empty:
            raise ReportRejected("no_report", "The archive contains no file")

    def _zip(self, content: bytes) -> Iterator[bytes | ReportRejected]:
        """The files of a zip archive, or why each of them cannot be read."""
        is_first = True
        for entry in zip_entries.entries(content, self.limits):
            if is_first and entry.name == b"[Content_Types].xml":
                raise file_types.OFFICE.rejected()
            is_first = False
            try:
                yield self._zip_file(entry)
            except FileRejected:
                raise
            except ReportRejected as rejected:
                yield rejected

    def _zip_file(self, entry: zip_entries.ZipEntry) -> bytes:
        if entry.rejected:
            raise entry.rejected
        content = self.inflation.entry(entry.data) if entry.is_deflated else entry.data
        if zlib.crc32(content) != entry.crc:
            raise ReportRejected("damaged", "A file in the zip archive has a wrong checksum")
        return content

    def _count_member(self) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise FileRejected(
                "too_many_members",
                f"The archive contains more than {self.limits.members} files. Divide it",
            )

    def _mbox(self, messages: Sequence[bytes], path: str, depth: _Depth) -> Iterator[Entry]:
        """The reports of each message; a message without a report is rejected for itself."""
        for number, message in enumerate(messages, 1):
            inner = path if len(messages) == 1 else _below(path, number)
            self.inflation.charge(len(message))
            try:
                yield from self.mail(mime.normalized(message), inner, depth)
            except FileRejected:
                raise
            except ReportRejected as rejected:
                yield Entry(inner, None, rejected=rejected, header=_header(message))

    def mail(
        self, raw: bytes, path: str, depth: _Depth, *, is_attached: bool = False
    ) -> Iterator[Entry]:
        """The reports in a message: in any of its parts, and in attached messages.

        raises  ReportRejected if it has none, unless it is attached to another message
        """
        self._count_mail()
        header, parts, is_empty = _header(raw), list[Part](), True
        failure = FailureMail(header)
        for part in message_parts.parts(raw, self.limits, self.mime_cost, path, depth.mails):
            if failure.takes(part):
                continue
            part_is_empty = True
            for entry in self._part(part, depth):
                is_empty = part_is_empty = False
                if not entry.header:  # that of an attached message is closer
                    entry = entry._replace(header=header, file_name=part.file_name)
                yield entry
            if part_is_empty:
                parts.append(part)
        if is_empty and (text := failure.report()):
            yield Entry(
                path=path,
                kind="failure",
                document=text.feedback,
                original=text.original,
                header=header,
            )
        elif is_empty:
            yield from _remainder(header, parts, path, is_attached=is_attached)

    def _count_mail(self) -> None:
        self.mails += 1
        if self.mails > self.limits.mails:
            raise FileRejected(
                "too_many_messages",
                f"The file contains more than {self.limits.mails} emails. Divide it, or import it "
                "with flask ingest",
            )

    def _part(self, part: Part, depth: _Depth) -> Iterator[Entry]:
        """The reports in one part of a message; none if it only accompanies a report."""
        if part.is_feedback:
            yield Entry(
                path=part.path, kind="failure", document=part.content(), original=part.original
            )
            return
        inner = _Depth(depth.archives, part.depth + 1)
        for content in _candidates(part):
            if _is_archive(content):
                yield from self.file(content, part.path, inner)
                return
            start = mime.normalized(content)
            if not start.startswith(b"From ") and (
                mime.is_message(start) or (part.is_message and _MAIL.match(start))
            ):
                yield from self._attached(start, part.path, inner)
                return
            if _may_have_documents(content, part.media_type):
                yield from self.file(content, part.path, inner)
                return

    def _attached(self, raw: bytes, part_path: str, depth: _Depth) -> Iterator[Entry]:
        """The reports in an attached message; none if it has none."""
        path = _below(part_path, 1, ".")
        try:
            self.inflation.charge(len(raw))
            yield from self.mail(raw, path, depth, is_attached=True)
        except FileRejected:
            raise
        except ReportRejected as rejected:
            yield Entry(path, None, rejected=rejected, header=_header(raw))


def _remainder(
    header: bytes, parts: Sequence[Part], path: str, *, is_attached: bool
) -> Iterator[Entry]:
    """The report in the text of a message, or why the message has none."""
    if inline := mails_without_report.inline_report(parts):
        yield Entry(path, "dmarc", inline, header=header)
        return
    rejected, may_have_reports = mails_without_report.rejected(mime.headers(header), parts)
    if may_have_reports or not is_attached:
        yield Entry(path, None, rejected=rejected, header=header)


def _candidates(part: Part) -> Iterator[bytes]:
    """What the content of a part may be: its transfer encoding is often wrong or missing."""
    is_plain = part.encoding == "base64" and mime.is_message(part.body)
    if is_plain or _is_archive(part.body):  # which have octets that the encoding cannot have
        yield part.body
        return
    content = part.content()
    yield content
    if content is not part.body:
        yield part.body
    if text := _decoded_text(content):
        yield text


def _may_have_reports(content: bytes, media_type: str | None = None) -> bool:
    """Whether content is a report or may contain some, and does not only accompany reports.

    media_type  of a message part, which may be text for people; None for a file
    """
    return _is_archive(content) or _may_have_documents(content, media_type)


def _may_have_documents(content: bytes, media_type: str | None) -> bool:
    """As ``_may_have_reports``, for content that is no archive."""
    if media_type is None and file_types.is_evident(content):
        return True
    if parsedmarc.is_output(content):
        return True
    if file_type := file_types.identify(content):
        is_signature = media_type is not None and not media_type.endswith("pkcs7-mime")
        return file_type.may_have_reports and not (file_type is file_types.SMIME and is_signature)
    if _kind(content):
        return media_type is None or _looks_like_report(content, media_type)
    if media_type is None and _decoded_text(content):
        return True
    start = mime.normalized(content)
    return mime.is_message(start) or bool(mbox.messages(start))


def _is_archive(content: bytes) -> bool:
    """Whether the content is an archive or a compressed file that can be opened."""
    is_compressed = inflation.compression(content) is not None
    return is_compressed or content.startswith(ZIP) or tar_entries.is_tar(content)


def _decoded_text(content: bytes) -> bytes:
    """The file that is pasted into text as base64 or uuencoded; b"" if there is none."""
    sample = transfer_encoding.base64_sample(content)
    if sample and (
        _is_archive(sample) or _DOCUMENT.match(sample) or mime.is_message(mime.normalized(sample))
    ):
        return transfer_encoding.unbase64(content)
    return transfer_encoding.unuuencode(content)


def _header(message: bytes) -> bytes:
    return mime.header_block(message[: 256 * KIB])


def _below(path: str, number: int, separator: str = "/") -> str:
    return f"{path}{separator}{number}" if path else str(number)


def _kind(document: bytes) -> ReportFormat | None:
    """The kind of report by the first character of the document."""
    first = xml_text.beginning(document, _BEGINNING).lstrip()[:1]
    return "dmarc" if first == b"<" else "tls" if first in (b"{", b"[") else None


def _looks_like_report(content: bytes, media_type: str) -> bool:
    """Whether a message part is a report itself, and not accompanying text."""
    kind = _kind(content)
    if kind == "tls":
        return "json" in media_type or b'"policies"' in content or b'"report-id"' in content
    beginning = content[:_BEGINNING]
    return "xml" in media_type or bool(_FEEDBACK.search(beginning.replace(b"\0", b"")))
