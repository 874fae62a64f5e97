"""The option for the certificate authorities that a server is checked with."""

import ssl
from collections.abc import Iterator
from typing import Any

from app.options import fields
from app.options.fields import OptionError

MAX_CERTIFICATES = 20_000  # characters


def option() -> Any:
    """Return the field of an option for certificate authorities (PEM), which may be empty."""
    return fields.long_text(
        "Certificate authority in PEM format",
        most=MAX_CERTIFICATES,
        hint="Only for servers with a certificate from your own authority. No other authority is "
        "trusted for this server then.",
        is_bound=True,
        is_advanced=True,
    )


def problems(field: str, text: str) -> Iterator[OptionError]:
    """Yield what is wrong with the value of such an option."""
    if text and not _are_certificates(text):
        yield OptionError(field, "Enter certificates in PEM format")


def _are_certificates(text: str) -> bool:
    """Return whether the text has at least one certificate in PEM format."""
    if not text.isascii() or "\0" in text:
        return False
    try:
        ssl.create_default_context().load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True
