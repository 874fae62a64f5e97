"""Requests to the web API of a mail service: access tokens, throttling, errors in its words.

A refused access token is renewed once. A service that asks clients to slow down ends the fetch; the
mailbox is polled again after the time that the service names.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from app import wall_clock
from app.mailboxes.oauth import Tokens
from app.mailboxes.types import Access, MailboxError, MessageError, ResponseTooLarge
from app.ports.http import Page, Request
from app.protocols import retry_after
from app.protocols.quantities import quantity

MAX_RESPONSE = 2 * 1024 * 1024  # of each request other than the one for a message
DEFAULT_WAIT_SECONDS = 60.0  # if a service that slows us down does not name a time
MAX_WORDS = 180  # of the service in a reason

Document = Mapping[str, Any]


class ApiError(MailboxError):
    """The service refused a request for another reason than the access.

    status  the HTTP status
    code    the name that the service gives to the error; empty if it has none
    """

    def __init__(self, reason: str, status: int, code: str) -> None:
        super().__init__(reason)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Service:
    """A web API.

    headers     of each request, in addition to the access token
    advice      what to do about errors, by their codes
    throttling  the codes of errors that ask clients to slow down, in addition to 429 and 503
    """

    host: str
    headers: Mapping[str, str]
    advice: Mapping[str, str]
    throttling: Collection[str] = ()


class WebApi:
    """A client of a service, with the access of one mailbox."""

    def __init__(self, service: Service, access: Access, tokens: Tokens) -> None:
        self.service = service
        self._access, self._tokens = access, tokens
        self._token: str | None = None

    def get(self, path: str) -> Document:
        """Return the JSON object at the path; raises MailboxError."""
        return parsed(self._request(path, Request(max_response_bytes=MAX_RESPONSE)).body)

    def send(self, method: Literal["PATCH", "POST"], path: str, document: Document) -> Document:
        """Send a JSON object, and return the one of the response; raises MailboxError."""
        request = Request(
            method,
            {"Content-Type": "application/json"},
            json.dumps(document).encode(),
            max_response_bytes=MAX_RESPONSE,
        )
        return parsed(self._request(path, request).body)

    def download(self, path: str, max_bytes: int) -> bytes | None:
        """Return the response, or None if it is larger than that; raises MailboxError."""
        try:
            return self._request(path, Request(max_response_bytes=max_bytes)).body
        except ResponseTooLarge:
            return None

    def _request(self, path: str, request: Request) -> Page:
        if self._token is None:
            self._token = self._tokens.current()
        page = self._sent(path, request, self._token)
        if page.status == 401:
            self._token = self._tokens.renewed()
            page = self._sent(path, request, self._token)
        if not 200 <= page.status < 300:
            raise self._error(page)
        return page

    def _sent(self, path: str, request: Request, token: str) -> Page:
        headers = {**self.service.headers, **request.headers, "Authorization": f"Bearer {token}"}
        authorized = Request(
            method=request.method,
            headers=headers,
            body=request.body,
            max_response_bytes=request.max_response_bytes,
        )
        return self._access.fetch(self.service.host, path, authorized)

    def _error(self, page: Page) -> MailboxError:
        code, words = _error_of(page)
        if page.status in (429, 503) or code in self.service.throttling:
            wait = retry_after.wait(page.retry_after, wall_clock.now())
            seconds = DEFAULT_WAIT_SECONDS if wait is None else wait.total_seconds()
            reason = f"the service asks to wait {quantity(seconds, 'second')}: {words}"
            return MailboxError(reason, retry_after_seconds=seconds)
        advice = self.service.advice.get(code)
        reason = f"{words}. {advice}" if advice else words
        if page.status in (401, 403):
            return MailboxError(reason)  # the access to the mailbox is refused, not a message
        return ApiError(reason, page.status, code)


@contextmanager
def one_message() -> Iterator[None]:
    """Raise a refused request within the block as MessageError, because others may succeed."""
    try:
        yield
    except ApiError as error:
        raise MessageError(str(error)) from None


def parsed(body: bytes) -> Document:
    """Return the JSON object; raises MailboxError for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise malformed()
    return document


def malformed() -> MailboxError:
    """Return the error for a response that is not as the service documents it."""
    return MailboxError("the service sent a malformed response")


def text_of(document: Document, name: str) -> str:
    """Return a printable text in a document; raises MailboxError if it has none."""
    value = document.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise malformed()
    return value


def number_of(document: Document, name: str) -> int | None:
    """Return a number in a document, if it has one."""
    value = document.get(name)
    return value if isinstance(value, int) else None


def objects_of(document: Document, name: str) -> list[Document]:
    """Return the objects in a list, which may be missing; raises MailboxError for another value."""
    values = document.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise malformed()
    return values


def _error_of(page: Page) -> tuple[str, str]:
    """Return the code of an error, and the words of the service about it."""
    code = message = ""
    try:
        error = parsed(page.body).get("error")
        if isinstance(error, dict):
            details = objects_of(error, "errors") or [{}]
            codes = (details[0].get("reason"), error.get("code"), error.get("status"))
            code = next((text for text in codes if isinstance(text, str)), "")
            message = str(error.get("message") or "")
    except MailboxError:
        pass  # the body is not that of the service, but of a proxy in front of it
    message = "".join(character if character.isprintable() else " " for character in message)
    words = message.strip().rstrip(".")[:MAX_WORDS] or f"the service answered {page.status}"
    return code, f"{words} ({code})" if code else words
