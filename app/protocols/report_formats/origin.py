"""Where a report file comes from, as the file itself says, for people who look for its sender.

Nothing of it is proven. Values have a maximum length, and characters that cannot be printed are
escaped, because anyone can write these fields.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.protocols.mail import encoded_words, mime
from app.protocols.report_formats.aggregate import values
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.containers.entries import Entry
from app.protocols.report_formats.limits import KIB
from app.protocols.report_formats.tls_rpt import tls_addressee

MAX_TEXT = 320  # characters of a value
_MAX_VALUE = 2_000  # characters of a field before it is decoded
_MAX_HEADER = 256 * KIB
_SEARCHED = 64 * KIB  # of a document that cannot be read
_MAX_NAME = 253

_PUBLISHED = re.compile(rb"<(?:[\w.-]{1,60}:)?policy_published[\s>]")
_DOMAINS = (
    re.compile(rb"<(?:[\w.-]{1,60}:)?domain>\s{0,100}([^<>\s]{1,253})"),
    re.compile(rb'"policy[-_]?domain"\s{0,20}:\s{0,20}"([^"\\\s]{1,253})"', re.IGNORECASE),
    re.compile(rb"^Reported-Domain:[ \t]{0,20}([^\s]{1,253})", re.IGNORECASE | re.MULTILINE),
)
# The domain of the reporter's address, or else the name of the organization.
_REPORTERS = (
    re.compile(rb"<(?:[\w.-]{1,60}:)?email>[^<>@]{0,320}@([^<>\s@]{1,253})"),
    re.compile(rb'"contact[-_]?info"\s{0,20}:\s{0,20}"[^"\\@]{0,320}@([^"\\\s@>]{1,253})', re.I),
    re.compile(rb"<(?:[\w.-]{1,60}:)?org_name>\s{0,100}([^<>]{1,253})"),
    re.compile(rb'"organization[-_]?name"\s{0,20}:\s{0,20}"([^"\\]{1,253})"', re.I),
)
_SUBMITTER = re.compile(r"\bsubmitter: ?<?([^\s<>,;]{1,253})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file says about its sender; None where it says nothing.

    envelope_from    the Return-Path of the nearest email, without angle brackets
    header_from, subject  of the nearest email
    attachment_name  the name of the message part
    policy_domain, reporter  of a report that cannot be read
    """

    envelope_from: str | None = None
    header_from: str | None = None
    subject: str | None = None
    attachment_name: str | None = None
    policy_domain: str | None = None
    reporter: str | None = None


def of_entry(entry: Entry, file_name: str = "", *, is_read: bool) -> Origin:
    """Return the origin of one report in a file.

    file_name  of the whole file
    is_read    the report itself says what it is about
    """
    names = (entry.file_name, file_name)
    fields = mime.sender_fields(entry.header)
    return Origin(
        envelope_from=address(mime.first(fields, "return-path")),
        header_from=printable(mime.first(fields, "from")),
        subject=printable(mime.first(fields, "subject")) if entry.kind != "failure" else None,
        attachment_name=printable(entry.file_name),
        policy_domain=None if is_read else _policy_domain(entry, names),
        reporter=None if is_read else _reporter(entry.document, fields, names),
    )


def of_file(raw: bytes, file_name: str = "") -> Origin:
    """Return the origin of a file that is rejected as a whole; only its beginning is read."""
    beginning = raw[:_MAX_HEADER]
    header = mime.header_block(beginning) if unwrap.is_mail(beginning) else b""
    document = b"" if header else beginning
    return of_entry(Entry("", None, document, header=header), file_name, is_read=False)


def address(value: str | None) -> str | None:
    """Return an envelope address for people; ``<>`` is the empty one."""
    text = printable(value)
    return text if text is None or text == "<>" else text.removeprefix("<").removesuffix(">")


def printable(value: str | None) -> str | None:
    """Return the text decoded, in one line, escaped and cut to MAX_TEXT; None if it is empty."""
    if not value:
        return None
    text = " ".join(encoded_words.decoded(value[:_MAX_VALUE]).split())[: MAX_TEXT + 1]
    if not text.isprintable():
        text = "".join(map(_escaped, text))
    return (text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…") or None


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _policy_domain(entry: Entry, names: Sequence[str]) -> str | None:
    """The domain in the document, or else in the subject or the name of the file."""
    sample = _sample(entry.document)
    published = _PUBLISHED.search(sample)
    xml, *others = _DOMAINS
    texts = [_match(pattern, sample) for pattern in others]
    if published:
        texts.insert(0, _match(xml, sample[published.end() :]))
    for text in texts:
        if text and (domain := values.host(text)):
            return domain
    return next(iter(tls_addressee.domains(entry.header, tuple(names))), None)


def _reporter(document: bytes, fields: mime.Headers, names: Sequence[str]) -> str | None:
    """The reporter in the document, or else in the subject or the name of the file."""
    sample = _sample(document)
    subject = _SUBMITTER.search(encoded_words.decoded(mime.first(fields, "subject")[:_MAX_VALUE]))
    texts = [_match(pattern, sample) for pattern in _REPORTERS]
    texts += [subject[1] if subject else "", *map(_receiver, names)]
    text = next(filter(None, texts), "").rstrip(".").lower()
    return (printable(text) or "")[:_MAX_NAME] or None


def _receiver(name: str) -> str:
    """The receiver in a file name ``receiver!policy-domain!begin!end.extension`` (RFC 9990)."""
    parts = name[:_MAX_VALUE].split("!")
    return parts[0].rpartition("/")[2] if len(parts) > 3 and parts[2].isdigit() else ""


def _sample(document: bytes) -> bytes:
    """The beginning of the document, readable also if it is in UTF-16."""
    return document[:_SEARCHED].replace(b"\0", b"")


def _match(pattern: re.Pattern[bytes], sample: bytes) -> str:
    match = pattern.search(sample)
    return match[1].decode("utf-8", "replace").strip() if match else ""
