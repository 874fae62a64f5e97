"""One-time codes of an authenticator app: TOTP with SHA-1, six digits and 30 seconds (RFC 6238).

Every app supports these parameters; some apps silently ignore others.
"""

import base64
import hmac
import re
from urllib.parse import quote, urlencode

SECRET_BYTES = 20
DIGITS = 6
STEP_SECONDS = 30
SKEW = 1  # tolerated clock difference in steps (RFC 6238 §5.2)


def code(secret: bytes, step: int) -> str:
    """The code of one time step (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    value = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(value % 10**DIGITS).zfill(DIGITS)


def step_of(secret: bytes, text: str, now: float, after: int | None = None) -> int | None:
    """The time step of the code in ``text``; None if the code is not valid now.

    after    the step of the last accepted code: codes up to that step are used up
    source   RFC 6238 §5.2: a code is accepted once, within one step of the current time
    """
    typed = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{6}", typed):
        return None
    current = int(now) // STEP_SECONDS
    for step in range(current - SKEW, current + SKEW + 1):
        is_fresh = after is None or step > after
        if hmac.compare_digest(code(secret, step), typed) and is_fresh:
            return step
    return None


def text_of(secret: bytes) -> str:
    """The secret for manual entry: base 32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, account: str, issuer: str) -> str:
    """The ``otpauth:`` URI that an app reads from a QR code."""
    label = quote(f"{issuer}:{account}", safe="@")
    parameters = urlencode({"secret": text_of(secret), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{parameters}"
