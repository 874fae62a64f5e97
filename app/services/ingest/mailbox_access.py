"""Access to the mailboxes of accounts: validation, connections, tests and previews.

An administrator of an account chooses host and port, so the connection goes to public addresses
only, which are resolved once. Operators may also use private addresses.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.errors import InvalidRequest
from app.mailboxes import imap
from app.mailboxes.imap import Account, ImapMailbox
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory
from app.protocols import names
from app.protocols.report_formats.limits import LIMITS
from app.services.core import encryption

PURPOSE = "mailbox"
SECURITIES = ("tls", "starttls")
MAX_CERTIFICATES = 20_000  # characters
MAX_PREVIEW = 100  # messages
LENGTHS = {"username": 320, "password": 500, "folder": 200, "done_folder": 200}


@dataclass(frozen=True, slots=True)
class Connection:
    """How to connect to the server of a mailbox.

    network  required unless the server may have a private address
    context  the TLS context; by default, as the access requires
    """

    access: Account
    is_private: bool
    network: Network | None = None
    context: ssl.SSLContext | None = None

    @contextmanager
    def opened(self, *, is_readonly: bool = False) -> Iterator[ImapMailbox]:
        """Open the folder of the mailbox; raises MailboxError."""
        address = None if self.is_private else _public_address(self.access.host, self.network)
        with imap.opened(
            self.access, self.context, address=address, is_readonly=is_readonly
        ) as source:
            yield source


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


def connection_of(row: ReportMailbox, network: Network | None = None) -> Connection:
    """Return how to connect to a stored mailbox.

    raises  DecryptionError
    """
    access = Account(
        host=row.host,
        port=row.port,
        username=row.username,
        password=encryption.decrypt(row.password, PURPOSE),
        folder=row.folder,
        done_folder=row.done_folder,
        security=row.security,
        ca_certificates=row.ca_certificates,
        only_unread=row.only_unread,
    )
    return Connection(access, row.is_private, network)


def preview(connection: Connection) -> Preview:
    """Return what a poll would fetch; nothing in the mailbox changes.

    raises  MailboxError
    """
    with connection.opened(is_readonly=True) as source:
        messages = []
        for message in source.waiting(MAX_PREVIEW):
            size_bytes = message.size()
            messages.append(PreviewedMessage(message.name, size_bytes, too_large(size_bytes)))
        return Preview(tuple(messages), source.read_count)


def test(connection: Connection, *, creates_folder: bool) -> int | None:
    """Sign in, open the folder and look for the folder of imported mails.

    creates_folder  create the folder of imported mails if it does not exist
    returns         the number of mails in the folder, if the server reports it
    raises          MailboxError
    """
    with connection.opened(is_readonly=True) as source:
        source.expect_done_folder(is_created=creates_folder)
        return source.message_count


def too_large(size_bytes: int) -> str | None:
    """Return why a message of this size is skipped; None if it is not too large."""
    if size_bytes <= LIMITS.message:
        return None
    return f"larger than {LIMITS.message // 1024**2} MiB"


def checked(access: Account) -> Account:
    """Return the access in the form in which it is stored.

    raises  InvalidRequest with all errors
    """
    access = normalized(access)
    errors = [*_option_errors(access), *_text_errors(access)]
    try:
        names.parse_host(access.host)
    except names.NotADomain as error:
        if error.code != "ip_address":
            errors.append(_error("host", error.reason, error.code))
    if errors:
        raise InvalidRequest(errors)
    return access


def normalized(access: Account) -> Account:
    """Return the access with host and certificates in the form in which they are stored."""
    host = access.host.strip().lower()
    with suppress(names.NotADomain):
        host = names.parse_host(host)
    certificates = access.ca_certificates
    if certificates is not None:
        certificates = certificates.replace("\r\n", "\n").strip()
    return replace(access, host=host, ca_certificates=certificates)


def _option_errors(access: Account) -> Iterator[dict[str, str]]:
    if not 0 < access.port < 65_536:
        yield _error("port", "Enter a port from 1 to 65535")
    if access.security not in SECURITIES:
        yield _error("security", f"Choose one of: {', '.join(SECURITIES)}")
    if access.done_folder is not None and access.done_folder == access.folder:
        yield _error(
            "done_folder", "Enter a different folder from the one that receives the reports"
        )
    if (certificates := access.ca_certificates) is not None:
        if len(certificates) > MAX_CERTIFICATES:
            yield _error("ca_certificates", f"Enter at most {MAX_CERTIFICATES} characters")
        elif not _are_certificates(certificates):
            yield _error("ca_certificates", "Enter certificates in PEM format")


def _are_certificates(text: str) -> bool:
    """Return whether the text has at least one certificate in PEM format."""
    if not text.isascii() or "\0" in text:
        return False
    try:
        ssl.create_default_context().load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _text_errors(access: Account) -> Iterator[dict[str, str]]:
    for field, length in LENGTHS.items():
        text = getattr(access, field)
        is_missing = text is None and field == "done_folder"
        if not (is_missing or (text.isprintable() and 0 < len(text) <= length)):
            yield _error(field, f"Enter 1 to {length} printable characters")


def _error(field: str, message: str, code: str = "invalid") -> dict[str, str]:
    return {"field": field, "code": code, "message": message}


def _public_address(host: str, network: Network | None) -> str:
    """Return an address of the host, which was checked to be public.

    raises  MailboxError
    """

    async def addresses(new_session: SessionFactory) -> list[str]:
        return await new_session().public_addresses(host)

    if network is None:
        raise RuntimeError("a mailbox with a public address needs the network")
    try:
        public = network.run(addresses)
    except LookupFailed as error:
        raise MailboxError(f"the DNS lookup of {host} failed: {error.reason}") from None
    if not public:
        raise MailboxError(f"{host} is not a host name with public addresses")
    return public[0]
