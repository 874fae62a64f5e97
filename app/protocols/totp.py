"""One-time codes of an authenticator app: TOTP with SHA-1, six digits and 30 seconds (RFC 6238).

Every app supports these parameters, which are pyotp's defaults; some apps silently ignore others.
"""

import base64
import re

from pyotp import TOTP
from pyotp.exceptions import OTPVerificationError

SECRET_BYTES = 20
SKEW = 1  # tolerated clock difference in steps (RFC 6238 §5.2)


def step_of(secret: bytes, text: str, now: float, after: int | None = None) -> int | None:
    """Return the time step of the code in ``text``, or None if the code is not valid now.

    after    the step of the last accepted code; codes of that step and earlier ones are not valid
    source   RFC 6238 §5.2: a code is accepted once, within one step of the current time
    """
    code = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{6}", code):  # pyotp would accept digits of other scripts
        return None
    try:
        step = _authenticator(secret).verify_and_get_timecode(code, for_time=now, valid_window=SKEW)
    except OTPVerificationError:
        return None
    return step if after is None or step > after else None


def text_of(secret: bytes) -> str:
    """Return the secret for manual entry: base 32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, account: str, issuer: str) -> str:
    """Return the ``otpauth:`` URI that an app reads from a QR code."""
    return _authenticator(secret).provisioning_uri(name=account, issuer_name=issuer)


def _authenticator(secret: bytes) -> TOTP:
    return TOTP(text_of(secret))
