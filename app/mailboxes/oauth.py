"""Access tokens of OAuth 2.0 (RFC 6749): issued by a token endpoint, stored, and renewed in time.

A token endpoint that refuses the credentials will refuse them until a person changes them.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from app import wall_clock
from app.mailboxes.types import Access, MailboxError, SignInRequired, StoredToken
from app.options.fields import OptionError
from app.ports.http import Page, Request
from app.protocols import retry_after

MAX_RESPONSE = 256 * 1024
MARGIN_SECONDS = 120.0  # before a token expires, when it is renewed
DEFAULT_LIFETIME_SECONDS = 300.0  # of a token without ``expires_in``
MAX_LIFETIME_SECONDS = 24 * 3600.0
MAX_TOKEN = 16_000  # characters
MAX_WORDS = 200  # of the server in a reason
# How often and how long after each other the stored token is read again, if a refresh token was
# refused that another process may have used at the same time.
OTHER_PROCESS_ATTEMPTS, OTHER_PROCESS_SECONDS = 8, 0.25
_FINAL = (
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "invalid_scope",
    "access_denied",
    "interaction_required",  # these three of OpenID Connect: a person has to sign in again
    "consent_required",
    "login_required",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """How access tokens are requested.

    parameters     of the request, without the refresh token
    refresh_token  the configured one; empty for client credentials
    """

    host: str
    path: str
    parameters: Mapping[str, str]
    refresh_token: str = ""

    @property
    def digest(self) -> str:
        """A digest of the endpoint and the credentials."""
        values = [self.host, self.path, *self.parameters.items(), self.refresh_token]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def tenant_problems(tenant: str) -> Iterator[OptionError]:
    """Yield what is wrong with the tenant of Microsoft 365, which is a part of a path."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+", tenant):
        message = "Enter the ID of the tenant, or one of its domains"
        yield OptionError("tenant", message)


def client_credentials(
    host: str, path: str, *, client_id: str, client_secret: str, scope: str
) -> Grant:
    """Return the grant of an application that acts for itself (RFC 6749 §4.4)."""
    return Grant(
        host=host,
        path=path,
        parameters={
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": scope,
        },
    )


def refresh_token(host: str, path: str, *, client_id: str, client_secret: str, token: str) -> Grant:
    """Return the grant of a person who allowed the access once (RFC 6749 §6)."""
    return Grant(
        host=host,
        path=path,
        parameters={
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
        },
        refresh_token=token,
    )


class Tokens:
    """The access tokens of a mailbox, which a poll and a test may renew at the same time.

    A refresh token that is replaced when it is used is then used twice. The process that comes
    second gets an error, and takes the token that the first one has stored.
    """

    def __init__(self, access: Access, grant: Grant) -> None:
        self._access, self._grant = access, grant
        self._refused: str | None = None  # the token that was returned last

    def current(self) -> str:
        """Return the stored token, or a new one if it expires soon; raises MailboxError."""
        return self._returned(self._usable() or self._requested())

    def renewed(self) -> str:
        """Return another token than the last one, which the server refused; raises MailboxError."""
        return self._returned(self._usable() or self._requested())

    def _returned(self, token: str) -> str:
        self._refused = token
        return token

    def _usable(self) -> str | None:
        """Return the stored token, unless it expires soon or the server has refused it."""
        stored = self._stored()
        if stored is None or stored["expires_at"] <= wall_clock.seconds() + MARGIN_SECONDS:
            return None
        return None if stored["access_token"] == self._refused else stored["access_token"]

    def _requested(self) -> str:
        """Return a new token, which is stored, or the one that another process has stored."""
        stored = self._stored()
        try:
            return self._issued(stored)
        except SignInRequired:
            if not self._grant.refresh_token:
                raise
            for _ in range(OTHER_PROCESS_ATTEMPTS):
                if self._stored() != stored and (token := self._usable()) is not None:
                    return token
                time.sleep(OTHER_PROCESS_SECONDS)
            raise

    def _issued(self, stored: StoredToken | None) -> str:
        """Return a new token of the token endpoint, which is stored; raises MailboxError."""
        current_refresh_token = stored["refresh_token"] if stored else ""
        parameters = dict(self._grant.parameters)
        if self._grant.refresh_token:
            parameters["refresh_token"] = current_refresh_token or self._grant.refresh_token
        request = Request(
            "POST",
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            urlencode(parameters).encode(),
            max_response_bytes=MAX_RESPONSE,
        )
        page = self._access.fetch(self._grant.host, self._grant.path, request)
        document = _document(page)
        if page.status != 200:
            raise _refusal(page, document)
        token = self._token(document, current_refresh_token)
        self._access.store_token(token)
        return token["access_token"]

    def _stored(self) -> StoredToken | None:
        token = self._access.load_token()
        return token if token and token["issued_for"] == self._grant.digest else None

    def _token(self, document: Mapping[str, object], current_refresh_token: str) -> StoredToken:
        access_token = document.get("access_token")
        if not isinstance(access_token, str) or not _is_token(access_token):
            raise MailboxError(f"{self._grant.host} sent no access token")
        seconds = document.get("expires_in")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_LIFETIME_SECONDS:
            seconds = DEFAULT_LIFETIME_SECONDS
        replaced = document.get("refresh_token")
        is_replaced = isinstance(replaced, str) and _is_token(replaced)
        return StoredToken(
            access_token=access_token,
            expires_at=wall_clock.seconds() + seconds,
            refresh_token=str(replaced) if is_replaced else current_refresh_token,
            issued_for=self._grant.digest,
        )


def _is_token(text: str) -> bool:
    return 0 < len(text) <= MAX_TOKEN and text.isascii() and text.isprintable() and " " not in text


def _document(page: Page) -> Mapping[str, object]:
    try:
        document = json.loads(page.body)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _refusal(page: Page, document: Mapping[str, object]) -> MailboxError:
    """Return the error for a response of the token endpoint (RFC 6749 §5.2)."""
    code = str(document.get("error") or f"status {page.status}")
    words = str(document.get("error_description") or "").split("\r\n")[0]
    reason = f"access was refused ({_printable(code, 50)}): {_printable(words, MAX_WORDS)}"
    reason = reason.rstrip(": ")
    if page.status in (400, 401, 403) and code in _FINAL:
        return SignInRequired(f"{reason} Check the credentials, and enter them again.")
    wait = retry_after.wait(page.retry_after, wall_clock.now())
    return MailboxError(reason, retry_after_seconds=wait.total_seconds() if wait else None)


def _printable(text: str, most: int) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:most]
