"""Emails without a report part: a report in their text, or what kind of email it is instead."""

import re
from collections.abc import Sequence

from app.protocols.mail import mime
from app.protocols.mail.mime import Headers
from app.protocols.report_formats import file_types
from app.protocols.report_formats.file_types import FileType
from app.protocols.report_formats.limits import KIB, ReportRejected
from app.protocols.report_formats.message_parts import Part

_FEEDBACK = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,60}:)?feedback[\s>]")
_CLOSING = re.compile(rb"</(?:[A-Za-z_][\w.-]{0,60}:)?feedback\s{0,10}>")
_DECLARATION = KIB

_ENCRYPTED = FileType(
    "smime",
    "encrypted or signed as a whole with S/MIME, and cannot be opened",
    "Open it in an email program and upload the report that is attached to it",
)
_PGP = FileType(
    "pgp", "encrypted with PGP, and cannot be opened", "Decrypt it, and upload the report"
)
_BOUNCE = FileType(
    "bounce",
    "a bounce: a message could not be delivered",
    "Find out which program sends email with this address as its sender; only reports belong here",
)
_RECEIPT = FileType(
    "read_receipt", "a read receipt (disposition notification), not a report", "No action needed"
)
_AUTO_REPLY = FileType("auto_reply", "an automatic reply, not a report", "No action needed")
_NEWSLETTER = FileType(
    "newsletter",
    "from a mailing list, not a report",
    "Unsubscribe the report address, or check who publishes it",
)
_CALENDAR = FileType("calendar", "an invitation (iCalendar), not a report", "No action needed")


def inline_report(parts: Sequence[Part]) -> bytes | None:
    """The aggregate report in the text of a message, if it stands between other lines."""
    for part in parts:
        if not part.media_type.startswith("text/") or part.media_type == "text/html":
            continue
        content = part.content()
        if (start := _FEEDBACK.search(content)) is None:
            continue
        declaration = content.rfind(b"<?xml", max(0, start.start() - _DECLARATION), start.start())
        begin = declaration if declaration >= 0 else start.start()
        closing = _CLOSING.search(content, start.end())
        return content[begin : closing.end() if closing else len(content)]
    return None


def rejected(header: Headers, parts: Sequence[Part]) -> tuple[ReportRejected, bool]:
    """Why a message without a report is rejected, and whether a report may be hidden in it."""
    types = {part.media_type for part in parts}
    opaque = _opaque(header, types)
    if opaque is not None:
        return opaque.rejected("The email is"), True
    kind = _of_type(types) or _of_header(header)
    if kind is not None:
        return kind.rejected("The email is"), False
    attachment = next(filter(None, (_attachment(part) for part in parts)), None)
    if attachment is not None:
        detail = f"The email contains no report, only {attachment.name}. {attachment.advice}"
        return ReportRejected("no_report", detail.strip()), False
    detail = "The email contains no report. Check what sends email to this address"
    return ReportRejected("no_report", detail), False


def _opaque(header: Headers, types: set[str]) -> FileType | None:
    content_type = mime.first(header, "content-type").lower()
    if any(name.endswith("pkcs7-mime") for name in types):
        return _ENCRYPTED
    if "application/pgp-encrypted" in types or "multipart/encrypted" in content_type:
        return _PGP
    return None


def _of_type(types: set[str]) -> FileType | None:
    if types & {"message/delivery-status", "message/global-delivery-status"}:
        return _BOUNCE
    if types & {"message/disposition-notification", "message/global-disposition-notification"}:
        return _RECEIPT
    return _CALENDAR if "text/calendar" in types else None


def _of_header(header: Headers) -> FileType | None:
    submitted = mime.first(header, "auto-submitted").lower()
    if submitted.startswith("auto-replied") or any(
        mime.first(header, name) for name in ("x-autoreply", "x-autorespond")
    ):
        return _AUTO_REPLY
    if mime.first(header, "x-failed-recipients") or mime.first(header, "return-path") == "<>":
        return _BOUNCE
    if mime.first(header, "list-unsubscribe") or mime.first(header, "list-id"):
        return _NEWSLETTER
    return None


def _attachment(part: Part) -> FileType | None:
    """The type of an attachment; None for text."""
    if part.media_type.startswith(("text/", "multipart/", "message/")):
        return None
    kind = file_types.describe(part.content())
    return kind if kind.code != "not_a_report" else None
