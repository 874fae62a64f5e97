"""Hides from viewers other users' email and IP addresses, and secret parts of URLs.

A viewer is often from outside the team, such as an auditor or a customer. Members and above
see everything. Templates use the filter ``private`` for text that may contain such values.
"""

import ipaddress
import re
from typing import Any

from flask import g

from app.services.core.privacy import masked
from app.services.sign_in.sessions import UserSession

HIDDEN = "hidden"
_EMAIL = re.compile(r"[^\s@\"'<>(),;:\[\]]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,9}")
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:[^\s/@]{0,256}@)?([^\s/@?#]{1,256})[^\s\"<>]*"
)
_ADDRESS = re.compile(r"(?<![\w.:])(?:::)?[0-9A-Fa-f][0-9A-Fa-f:.]{0,44}(?:/\d{1,3})?(?![\w:])")


def sees_addresses() -> bool:
    """Whether the signed-in user may see the addresses of others."""
    user: UserSession | None = g.get("user")
    return user is not None and user.is_at_least("member")


def private(value: Any) -> str:
    """Return the text without values that are hidden from a viewer, except their own address."""
    text = str(value)
    if sees_addresses():
        return text
    user: UserSession | None = g.get("user")
    own = user.email if user is not None else None
    text = _URL.sub(lambda match: _short_url(match[1], match[2]), text)
    text = _EMAIL.sub(lambda match: match[0] if match[0] == own else masked(match[0]), text)
    return _ADDRESS.sub(lambda match: HIDDEN if _is_address(match[0]) else match[0], text)


def _short_url(scheme: str, host: str) -> str:
    """Return a URL without its path; the host of a chat service's URL may be a token."""
    return f"{scheme}{host}/…" if scheme.lower() in ("https://", "http://") else f"{scheme}…"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text.rstrip("."), strict=False)
    except ValueError:
        return False
    return True
