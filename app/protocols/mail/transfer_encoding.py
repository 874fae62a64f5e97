"""Transfer encodings of message parts and pasted text: base64, quoted-printable and uuencode."""

import binascii
import re

from app.protocols.mail.comments import without_comments

_NAME = re.compile(r"[\w-]+", re.ASCII)
_BEGIN = re.compile(rb"^begin(-base64)? [0-7]{3,4} [^\r\n]{1,200}\r?\n", re.MULTILINE)
_BASE64_START = re.compile(rb"(?:[A-Za-z0-9+/]{4}){2}[A-Za-z0-9+/=\r\n \t]*\Z")
_BLANK = b" \t\r\n"
_SAMPLE = 600

UUENCODE = ("x-uuencode", "x-uue", "uuencode")


def name(value: str) -> str:
    """The name of the transfer encoding in a field, without comments (RFC 2045 §6.1)."""
    if "(" in value or ")" in value:
        value = without_comments(value[:1_000])
    match = _NAME.search(value[:1_000])
    return match[0].lower() if match else ""


def decode(body: bytes, encoding: str) -> bytes:
    """The decoded body; unchanged if it cannot be decoded."""
    if encoding == "base64":
        return unbase64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding in UUENCODE:
        return unuuencode(body) or body
    return body


def base64_sample(content: bytes) -> bytes:
    """The first decoded bytes of content that looks like base64 text; else b""."""
    sample = content[: 2 * _SAMPLE].lstrip(_BLANK)[:_SAMPLE]
    if not _BASE64_START.match(sample):
        return b""
    text = b"".join(sample.split()).partition(b"=")[0]
    return binascii.a2b_base64(text[: len(text) // 4 * 4])


def unbase64(body: bytes) -> bytes:
    """The content decoded up to the padding, if any; lists append footers after it."""
    end = body.find(b"=")
    text = body if end < 0 else body[: end + 2]
    for padding in (b"", b"=", b"=="):
        try:
            return binascii.a2b_base64(text + padding)
        except binascii.Error:
            continue
    return body


def unuuencode(body: bytes) -> bytes:
    """The first uuencoded file in the text; b"" if there is none."""
    begin = _BEGIN.search(body) if b"begin" in body else None
    if begin is None:
        return b""
    if begin[1]:
        end = body.find(b"\n====", begin.end())
        return unbase64(body[begin.end() : end if end >= 0 else len(body)])
    content = bytearray()
    for line in body[begin.end() :].split(b"\n"):
        text = line.rstrip(b"\r")
        if text.strip() in (b"end", b"`", b""):
            break
        try:
            content += binascii.a2b_uu(text)
        except binascii.Error:
            # Some encoders pad the last group of a line too far.
            length = ((text[0] - 32 & 63) * 4 + 5) // 3
            try:
                content += binascii.a2b_uu(text[:length])
            except binascii.Error:
                return b""
    return bytes(content)
