"""Failure reports in plain text, which have no machine-readable part.

Exim, and products that are based on it, describe the failure in lines such as ``Sender IP Address:
192.0.2.1``, followed by the headers of the message. Others begin with "This is a spf/dkim
authentication-failure report for an email message received from IP 192.0.2.1 on" a date.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.protocols.mail.mime import ORIGINALS, first, header_block, headers
from app.protocols.report_formats.limits import KIB
from app.protocols.report_formats.message_parts import Part

_SEARCHED = 64 * KIB
_OPENING = re.compile(
    r"A message claiming to be from you has failed"
    r"|authentication[- ]failure report for an email message received from IP",
    re.IGNORECASE,
)
# A machine-readable part with the media type of text.
_MISLABELED = re.compile(rb"\s*(?:[A-Za-z-]{1,40}:[^\n]*\n){0,20}feedback-type:", re.IGNORECASE)
_TEXT = ("text/plain", "application/octet-stream")
_COPY = re.compile(r"This is a copy of the (?:headers|message)\b[^:]{0,120}?detected\.\n?")
_HEADER = re.compile(r"^(?:Received|Return-Path|From|DKIM-Signature):", re.MULTILINE)
_LINE = re.compile(r"^([A-Za-z][A-Za-z /-]{1,40}):[ \t]*([^\n]{1,1000})", re.MULTILINE)
_SENTENCE = re.compile(r"received from IP:? ([0-9A-Fa-f:.\[\]]{2,60})(?: on ([^.;]{1,60}))?")

# The field of a failure report by the beginning of the line.
_FIELDS = {
    "sender domain": "Reported-Domain",
    "reported domain": "Reported-Domain",
    "sender ip address": "Source-IP",
    "sender ip": "Source-IP",
    "source ip": "Source-IP",
    "source ip address": "Source-IP",
    "received date": "Arrival-Date",
    "arrival date": "Arrival-Date",
    "dmarc results": "Delivery-Result",
    "dmarc result": "Delivery-Result",
    "envelope from": "Original-Mail-From",
    "envelope sender": "Original-Mail-From",
}
# Every opening has one of these words.
_WORDS = (b"claiming", b"authentication")
_QUOTATION = "> \t"
_ALIGNMENTS = {"spf alignment": "spf", "dkim alignment": "dkim"}


@dataclass(frozen=True, slots=True)
class FailureText:
    """A failure report in plain text.

    feedback  the fields of a machine-readable part with the same content
    original  the headers of the failed message that the text contains; b"" if there are none
    """

    feedback: bytes
    original: bytes


def read(text: bytes) -> FailureText | None:
    """The failure report in the text of a message; None if the text is no failure report."""
    if _MISLABELED.match(text):
        return FailureText(text, b"")
    searched = text[:_SEARCHED]
    if not any(word in searched.lower() for word in _WORDS):
        return None
    lines = searched.decode("utf-8", "replace").split("\n")
    plain = "\n".join(line.rstrip().lstrip(_QUOTATION) for line in lines)
    spaced = " ".join(plain.split())
    if not _OPENING.search(spaced):
        return None
    copy = _COPY.search(plain)
    header = copy or _HEADER.search(plain)
    described = plain[: header.start()] if header else plain
    fields = list(_fields(described, spaced))
    if not any(name in ("Source-IP", "Reported-Domain") for name, _ in fields):
        return None
    feedback = "".join(f"{name}: {value}\n" for name, value in fields)
    original = plain[copy.end() if copy else header.start() :] if header else ""
    return FailureText(feedback.encode(), original.lstrip("\n").encode())


def _fields(described: str, spaced: str) -> Iterator[tuple[str, str]]:
    """The fields of the text; ``spaced`` is the whole text in one line."""
    yield "Feedback-Type", "auth-failure"
    yield "Auth-Failure", "dmarc"
    alignments: dict[str, bool] = {}
    for label, value in _LINE.findall(described):
        key = label.lower()
        if key in _FIELDS:
            yield _FIELDS[key], value
        elif key in _ALIGNMENTS:
            alignments[_ALIGNMENTS[key]] = value.strip().lower().startswith("yes")
    if alignments:
        failed = [method for method, is_aligned in alignments.items() if not is_aligned]
        yield "Identity-Alignment", ", ".join(failed) or "none"
    if match := _SENTENCE.search(spaced):
        yield "Source-IP", match[1].rstrip(".")
        if match[2]:
            yield "Arrival-Date", match[2]


class FailureMail:
    """Finds a failure report in the parts of a message.

    The message that it is about is not a report, whatever it contains.
    """

    def __init__(self, header: bytes) -> None:
        """The message with this header."""
        self._header = header
        self._has_feedback = False
        self._text: FailureText | None = None
        self._original = b""

    def takes(self, part: Part) -> bool:
        """Whether the part is a report in plain text, or the message that the report is about."""
        if part.is_feedback:
            self._has_feedback = True
        elif part.media_type in ORIGINALS and (self._text or self._is_feedback()):
            self._original = self._original or header_block(part.content())
            return True
        elif part.media_type in _TEXT and not self._text:
            self._text = read(part.content())
            return self._text is not None
        return False

    def _is_feedback(self) -> bool:
        content_type = first(headers(self._header), "content-type")
        return self._has_feedback or "feedback-report" in content_type.lower()

    def report(self) -> FailureText | None:
        """The report in plain text, with the headers of the attached message if there is one."""
        if self._text is None:
            return None
        return replace(self._text, original=self._original or self._text.original)
