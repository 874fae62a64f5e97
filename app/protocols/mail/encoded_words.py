"""Encoded words in header fields (RFC 2047)."""

from email.errors import HeaderParseError
from email.header import decode_header


def decoded(text: str) -> str:
    """The text with its encoded words decoded, if possible."""
    if "=?" not in text:
        return text
    try:
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
            for piece, charset in decode_header(text)
        )
    except (HeaderParseError, LookupError, ValueError):
        return text
