"""One request to the API, before it is sent."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

Time = str | datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request.

    query            parameters without a value are not sent
    body             sent as JSON unless it is None
    content          bytes to send in place of ``body``
    accepts_key      whether the route accepts an idempotency key
    idempotency_key  the key; a new one by default
    upload_token     sent in place of the API key, to a route that takes no API key
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    content: bytes | None = None
    if_match: str | None = None
    accepts_key: bool = False
    idempotency_key: str | None = None
    upload_token: str | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether the request has the same effect if it is sent twice.

        A report file that is sent again is recognized by its bytes.
        """
        return self.accepts_key or self.content is not None or self.method in ("GET", "DELETE")

    def request(self, http: httpx.Client | httpx.AsyncClient, key: str) -> httpx.Request:
        """Return the request, which is the same for all attempts.

        key  the API key
        """
        return http.build_request(
            self.method,
            self.path,
            params={name: _text(value) for name, value in self.query.items() if value is not None},
            json=self.body,
            content=self.content,
            headers=self._headers(key),
        )

    def _headers(self, key: str) -> dict[str, str]:
        headers = {"Accept": "*/*"}
        if self.content is None:
            headers["Authorization"] = f"Bearer {key}"
        elif self.upload_token:
            headers["Authorization"] = f"Bearer {self.upload_token}"
        if self.accepts_key:
            headers["Idempotency-Key"] = self.idempotency_key or str(uuid.uuid4())
        if self.if_match:
            headers["If-Match"] = self.if_match
        return headers


def path(template: str, *values: str) -> str:
    """Return the path with the values in place of the names in braces.

    raises  ValueError for a value that cannot be a segment of a path
    """
    remaining = iter(values)
    return re.sub(r"\{\w+\}", lambda _: _segment(next(remaining)), template)


def _segment(value: str) -> str:
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} is not an id or a name")
    return quote(value, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.isoformat()
    return str(value)
