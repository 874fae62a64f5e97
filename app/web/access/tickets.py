"""Tickets: which user a form was shown to, and on which page.

A ticket is part of the CSRF value of a form. It is signed, and valid after the session has ended,
when nothing else says whose form it was.
"""

import base64
import hmac
from dataclasses import dataclass
from uuid import UUID

import orjson

from app import keyring
from app.keyring import Purpose

MAX_PAGE = 1_000  # characters of the path of a page
MAX_TICKET = 4_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket; ``page`` is the path and the query of the page with the form."""

    user_id: UUID
    page: str


def issue(ticket: Ticket) -> str:
    """Return the ticket as text of letters, digits and ``-_.``."""
    page = ticket.page if len(ticket.page) <= MAX_PAGE else ticket.page.partition("?")[0]
    values = [ticket.user_id.hex, page[:MAX_PAGE]]
    payload = base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")
    return f"{payload}.{_signature(keyring.current(Purpose.CSRF), payload)}"


def read(text: str) -> Ticket | None:
    """Return the ticket; None if it was not issued by us."""
    payload, _, signature = text[:MAX_TICKET].partition(".")
    expected = [_signature(key, payload) for key in keyring.usable(Purpose.CSRF)]
    if not any(hmac.compare_digest(signature.encode(), item.encode()) for item in expected):
        return None
    padding = "=" * (-len(payload) % 4)
    user_id, page = orjson.loads(base64.urlsafe_b64decode(payload + padding))
    return Ticket(UUID(hex=user_id), page)


def _signature(key: bytes, payload: str) -> str:
    return hmac.new(key, f"ticket:{payload}".encode(), "sha256").hexdigest()
