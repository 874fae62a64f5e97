"""Access to the mailboxes of accounts: stored options and secrets, connections and previews.

An administrator of an account chooses the server, so the connection goes to public addresses only,
which are resolved once. Operators may also use private addresses.
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update

from app import settings
from app.db.transactions import transaction
from app.mailboxes import registry
from app.mailboxes.config import MailboxConfig
from app.mailboxes.types import Access, Mailbox, MailboxError, ResponseTooLarge, StoredToken
from app.models import ReportMailbox
from app.ports.dns import LookupFailed
from app.ports.http import Page, Request
from app.ports.network import Fetch, Network, SessionFactory
from app.protocols.report_formats.limits import LIMITS
from app.services.core import encryption
from app.services.core.encryption import DecryptionError
from app.services.mailboxes import messages

SECRETS, TOKEN = "mailbox secrets", "mailbox token"
PASSWORD = "mailbox"  # before 0.2.0, the column had the password alone, for this purpose
REQUEST_SECONDS = 20.0
MAX_PREVIEW = 100  # messages


class TokenStore:
    """The OAuth 2.0 access token of a mailbox.

    The token for options that are not stored yet is in memory: of a mailbox before it is added, or
    of changed options while they are tested. A token for the stored options is stored immediately,
    because a refresh token that was replaced is of no use.

    is_changed  whether changed options of the row are tested
    """

    def __init__(self, row: ReportMailbox | None = None, *, is_changed: bool = False) -> None:
        self._mailbox_id: UUID | None = row.id if row else None
        token = _decrypted(row.token_encrypted if row else None)
        self._stored_for = token["issued_for"] if token else None
        self._is_changed = is_changed
        self._token: StoredToken | None = None

    def load(self) -> StoredToken | None:
        """Return the token that is stored now, or the one in memory."""
        if self._token is not None or self._mailbox_id is None:
            return self._token
        with transaction(readonly=True) as session:
            column = ReportMailbox.token_encrypted
            return _decrypted(
                session.scalar(select(column).where(ReportMailbox.id == self._mailbox_id))
            )

    def store(self, token: StoredToken) -> None:
        """Store the token; committed before it returns."""
        is_for_stored_options = token["issued_for"] == self._stored_for
        if self._mailbox_id is None or (self._is_changed and not is_for_stored_options):
            self._token = token
        else:
            self._write(token)

    def commit(self) -> None:
        """Store the token in memory, after the changed options were stored."""
        if self._token is not None and self._mailbox_id is not None:
            self._write(self._token)

    def _write(self, token: StoredToken) -> None:
        encrypted = encryption.encrypt(json.dumps(token), TOKEN)
        with transaction() as session:
            is_same = ReportMailbox.id == self._mailbox_id
            session.execute(update(ReportMailbox).where(is_same).values(token_encrypted=encrypted))

    @property
    def encrypted(self) -> str | None:
        """The value of the column for the token in memory."""
        return encryption.encrypt(json.dumps(self._token), TOKEN) if self._token else None


def _decrypted(encrypted: str | None) -> StoredToken | None:
    """Return a stored token; raises DecryptionError."""
    if not encrypted:
        return None
    token: StoredToken = json.loads(encryption.decrypt(encrypted, TOKEN))
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to connect to a mailbox.

    network  required unless the server may have a private address and is no HTTPS server
    context  the TLS context of sockets; by default, as the options require
    """

    config: MailboxConfig
    is_private: bool
    network: Network | None = None
    context: ssl.SSLContext | None = None
    tokens: TokenStore = field(default_factory=TokenStore)

    @contextmanager
    def opened(self, *, is_readonly: bool = False) -> Iterator[Mailbox]:
        """Open the mailbox; raises MailboxError."""
        with ExitStack() as stack:
            access = _ConnectionAccess(self, stack, is_readonly=is_readonly)
            yield stack.enter_context(self.config.opened(access))


class _ConnectionAccess(Access):
    """What a mailbox may use of a connection; the stack ends its HTTPS connections."""

    def __init__(self, connection: Connection, stack: ExitStack, *, is_readonly: bool) -> None:
        self._connection, self._stack = connection, stack
        self.is_readonly, self.context = is_readonly, connection.context
        self.folder_root = settings.current().mailbox_folder_root
        self._fetch: Fetch | None = None

    def address(self, host: str) -> str:
        return host if self._connection.is_private else self._public_address(host)

    def _public_address(self, host: str) -> str:
        async def addresses(new_session: SessionFactory) -> list[str]:
            return await new_session().public_addresses(host)

        try:
            public = self._network.run(addresses)
        except LookupFailed as error:
            raise MailboxError(f"the DNS lookup of {host} failed: {error.reason}") from None
        if not public:
            raise MailboxError(f"{host} is not a host name with public addresses")
        return public[0]

    def fetch(self, host: str, path: str, request: Request) -> Page:
        if self._fetch is None:
            self._fetch = self._stack.enter_context(self._network.fetching())
        try:
            page = self._fetch(host, path, request, seconds=REQUEST_SECONDS)
        except LookupFailed as error:
            raise MailboxError(f"the request to {host} failed: {error.reason}") from None
        if page.failure == "too_large":
            raise ResponseTooLarge(f"the response of {host} is too large")
        if page.failure:
            detail = f": {page.detail}" if page.detail else ""
            raise MailboxError(f"the request to {host} failed ({page.failure}){detail}")
        return page

    def load_token(self) -> StoredToken | None:
        return self._connection.tokens.load()

    def store_token(self, token: StoredToken) -> None:
        self._connection.tokens.store(token)

    @property
    def _network(self) -> Network:
        if self._connection.network is None:
            raise RuntimeError("a mailbox with a public address needs the network")
        return self._connection.network


class PreviewedMessage(NamedTuple):
    """A message that the next poll would import; ``reason`` is why it would be skipped, or None."""

    name: str
    size_bytes: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next poll of a mailbox would fetch: the first ``MAX_PREVIEW`` messages.

    read_count  the number of read messages that are left alone; None if they are fetched as well
    """

    messages: tuple[PreviewedMessage, ...]
    read_count: int | None


def config_of(row: ReportMailbox) -> MailboxConfig:
    """Return the options of a stored mailbox with its secrets.

    raises  DecryptionError
    """
    return registry.stored(row.type, row.options, _secrets(row)[0])


def public_config_of(row: ReportMailbox) -> MailboxConfig:
    """Return the options of a stored mailbox; its secrets are empty."""
    return registry.stored(row.type, row.options, {})


def connection_of(row: ReportMailbox, network: Network | None = None) -> Connection:
    """Return how to connect to a stored mailbox.

    raises  DecryptionError
    """
    return Connection(
        config=config_of(row),
        is_private=row.is_private,
        network=network,
        tokens=TokenStore(row),
    )


def encrypted_secrets(config: MailboxConfig) -> str:
    """Return the value of the column with the secrets."""
    return encryption.encrypt(json.dumps(config.secrets()), SECRETS)


def renewed_secrets(row: ReportMailbox) -> dict[str, str]:
    """Return columns with secrets that are to be encrypted again, with the current key.

    The result is empty if they are up to date, or cannot be decrypted.
    """
    try:
        secrets, is_outdated = _secrets(row)
        values = {}
        if is_outdated:
            values["secrets_encrypted"] = encryption.encrypt(json.dumps(secrets), SECRETS)
        if row.token_encrypted and encryption.is_outdated(row.token_encrypted, TOKEN):
            token = encryption.decrypt(row.token_encrypted, TOKEN)
            values["token_encrypted"] = encryption.encrypt(token, TOKEN)
    except DecryptionError:
        return {}
    return values


def _secrets(row: ReportMailbox) -> tuple[dict[str, str], bool]:
    """Return the secrets, and whether they are to be encrypted again.

    raises  DecryptionError
    """
    try:
        text = encryption.decrypt(row.secrets_encrypted, SECRETS)
    except DecryptionError:
        return {"password": encryption.decrypt(row.secrets_encrypted, PASSWORD)}, True
    return json.loads(text), encryption.is_outdated(row.secrets_encrypted, SECRETS)


def preview(row: ReportMailbox, network: Network | None = None) -> Preview:
    """Return what a poll of a stored mailbox would fetch; nothing in the mailbox changes.

    raises  MailboxError; DecryptionError
    """
    previewed: list[PreviewedMessage] = []
    with connection_of(row, network).opened(is_readonly=True) as mailbox:
        for message, is_imported in messages.listed(row.id, mailbox):
            if len(previewed) == MAX_PREVIEW:
                break
            if not is_imported:
                size_bytes = message.size()
                previewed.append(PreviewedMessage(message.name, size_bytes, too_large(size_bytes)))
        return Preview(tuple(previewed), mailbox.read_count)


def test(connection: Connection) -> int | None:
    """Open the mailbox, and check what it needs beyond that.

    returns  the number of messages, if the server reports it
    raises   MailboxError
    """
    with connection.opened(is_readonly=True) as mailbox:
        mailbox.test()
        return mailbox.message_count


def too_large(size_bytes: int) -> str | None:
    """Return why a message of this size is skipped; None if it is not too large."""
    if size_bytes <= LIMITS.message:
        return None
    return f"larger than {LIMITS.message // 1024**2} MiB"
