"""The header of an email message, and what content looks like one (RFC 5322, RFC 2045)."""

import re
from collections.abc import Sequence

MESSAGES = ("message/rfc822", "message/global", "message/news")
ORIGINALS = (*MESSAGES, "text/rfc822-headers", "message/global-headers")
_HEADER_SAMPLE = 16 * 1024

_VALUE = rb"[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)"
_FIELD = re.compile(rb"^([!-9;-~]+)" + _VALUE, re.MULTILINE)
# They begin with a literal, for which the regular expression engine searches quickly.
_WELL_KNOWN = re.compile(
    rb"\n((?i:From|To|Cc|Subject|Date|Received|Return-Path|Delivered-To|X-Original-To|Message-ID"
    rb"|MIME-Version|Content-Type|DKIM-Signature|X-Mozilla-Status|X-Gmail-Labels))[ \t]*:"
)
_CONTENT_FIELD = re.compile(rb"\n([Cc](?i:ontent-(?:Type|Transfer-Encoding|Disposition)))" + _VALUE)
_SENDER_FIELD = re.compile(rb"\n((?i:From|Subject|Return-Path))" + _VALUE)
_FIRST_FIELD = re.compile(rb"(?:>?From [^\r\n]*\r?\n)?[!-9;-~]{1,76}+[ \t]*:")

Headers = list[tuple[str, str]]


def headers(block: bytes) -> Headers:
    """The fields of a header block in order: names in lower case, values unfolded."""
    return _unfolded(_FIELD.findall(block))


def sender_fields(block: bytes) -> Headers:
    """Only the fields From, Subject and Return-Path of a header block, as ``headers``."""
    return _unfolded(_SENDER_FIELD.findall(b"\n" + block))


def content_fields(block: bytes) -> Headers:
    """Only the fields about the content in a header block, as ``headers``."""
    return _unfolded(_CONTENT_FIELD.findall(b"\n" + block))


def first(fields: Headers, name: str) -> str:
    """The first value of the field; "" if it is absent."""
    return next((value for field_name, value in fields if field_name == name), "")


def header_block(raw: bytes) -> bytes:
    """The header of a message."""
    if raw.startswith((b"\n", b"\r\n")):
        return raw[:1]
    stop, _ = end_of_header(raw, 0, len(raw))
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


def _unfolded(fields: Sequence[tuple[bytes, bytes]]) -> Headers:
    return [
        (name.decode("ascii").lower(), " ".join(value.decode("utf-8", "replace").split()))
        for name, value in fields
    ]


def end_of_header(raw: bytes, start: int, end: int) -> tuple[int, int]:
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
