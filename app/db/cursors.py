"""Opaque, signed pagination cursors."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.errors import InvalidRequest


class Cursor:
    """Opaque, signed pagination cursors, bound to a list: account, route, filters and sort."""

    def __init__(self, keys: Sequence[bytes], binding: Mapping[str, Any]) -> None:
        """Sign cursors with the first key; cursors signed with another key are accepted."""
        self._keys = keys
        self._binding = orjson.dumps(binding, default=str, option=orjson.OPT_SORT_KEYS)

    def encode(self, cursor_values: Sequence[Any]) -> str:
        """Return the cursor for the row with these values of the sort columns (JSON values)."""
        body = orjson.dumps(cursor_values)
        return base64.urlsafe_b64encode(self._tag(self._keys[0], body) + body).rstrip(b"=").decode()

    def decode(self, text: str) -> list[Any]:
        """Return the values of the sort columns in a cursor.

        raises  InvalidRequest if the cursor was not made here or is for another list
        """
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raw = b""
        tag, body = raw[:16], raw[16:]
        if not any(hmac.compare_digest(tag, self._tag(key, body)) for key in self._keys):
            message = "invalid cursor for this list; start again without a cursor"
            raise InvalidRequest.field("cursor", message)
        cursor_values: list[Any] = orjson.loads(body)
        return cursor_values

    def _tag(self, key: bytes, body: bytes) -> bytes:
        signed = self._binding + b"\0" + body
        return hashlib.blake2b(signed, key=key, digest_size=16).digest()
