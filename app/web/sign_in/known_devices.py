"""The device cookie: proof that a browser has signed in as a user before.

It does not sign anyone in. The login throttle counts the failures of such a browser separately,
so that the guesses of an attacker never lock out a user who has signed in before.

source  OWASP, "Slow Down Online Guessing Attacks with Device Cookies"
"""

import hmac
import secrets
from collections.abc import Iterator

from flask import request
from werkzeug.wrappers import Response

from app import keyring, wall_clock
from app.keyring import Purpose
from app.web.base import pages

MAX_AGE_SECONDS = 400 * 24 * 3600  # the maximum of browsers
Entry = tuple[str, str, str]
MAX_USERS = 5  # per browser; the least recent one is dropped


def identify(email: str) -> str | None:
    """Return the id of this browser if it has signed in with this address before; else None."""
    return next((entry[0] for entry in _entries() if _is_valid(entry, email)), None)


def remember(response: Response, email: str) -> None:
    """Set the device cookie for this address, so that the browser is known from now on."""
    others = ["~".join(entry) for entry in _entries() if not _is_valid(entry, email)]
    nonce = identify(email) or secrets.token_hex(12)
    expires_at = str(int(wall_clock.seconds()) + MAX_AGE_SECONDS)
    key = keyring.current(Purpose.DEVICES)
    own = "~".join((nonce, expires_at, _proof(email, nonce, expires_at, key)))
    response.set_cookie(
        _cookie_name(),
        ".".join([own, *others][:MAX_USERS]),
        max_age=MAX_AGE_SECONDS,
        secure=not pages.is_local(),
        httponly=True,
        samesite="Strict",
        path="/",
    )


def _entries() -> Iterator[Entry]:
    """Yield (id, expiry in Unix seconds, proof) of each user of this browser, unchecked."""
    text = request.cookies.get(_cookie_name(), "")
    for item in text[:2000].split(".")[:MAX_USERS]:
        parts = item.split("~")
        if len(parts) == 3 and parts[1].isascii() and parts[1].isdigit():
            yield parts[0], parts[1], parts[2]


def _is_valid(entry: Entry, email: str) -> bool:
    nonce, expires_at, proof = entry
    is_current = int(expires_at[:12]) > wall_clock.seconds()
    return is_current and any(
        hmac.compare_digest(_proof(email, nonce, expires_at, key).encode(), proof.encode())
        for key in keyring.usable(Purpose.DEVICES)
    )


def _proof(email: str, nonce: str, expires_at: str, key: bytes) -> str:
    text = f"{email.strip().lower()}\n{nonce}\n{expires_at}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _cookie_name() -> str:
    return "device" if pages.is_local() else "__Host-device"
