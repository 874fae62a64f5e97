"""Mailboxes that the administrators of an account add and change, after a test of the connection.

Administrators choose the server, so its addresses must be public, unless an operator added it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.errors import NotFound, ServiceUnavailable
from app.mailboxes.config import MailboxConfig
from app.models import ReportMailbox
from app.ports.network import Network
from app.services.mailboxes import access, mailboxes
from app.services.mailboxes.access import Connection

MAX_TESTS = 2  # at a time in this process, as a server may take long to answer

_tests = threading.BoundedSemaphore(MAX_TESTS)


def add(account_id: UUID, config: MailboxConfig, network: Network, *, actor: str) -> ReportMailbox:
    """Test the connection, add the mailbox and return it.

    raises  MailboxError; InvalidRequest; Conflict; ServiceUnavailable
    """
    if config.is_operator_only:
        raise NotFound
    checked = config.checked()
    connection = Connection(config=checked, is_private=False, network=network)
    _test(connection)
    return mailboxes.add(account_id, checked, actor=actor, tokens=connection.tokens)


def change(
    row: ReportMailbox, config: MailboxConfig, network: Network, *, actor: str
) -> ReportMailbox:
    """Test the connection, and replace the options of the mailbox.

    config  empty secrets are those that are stored; this requires the same server
    raises  NotFound; otherwise as ``add``
    """
    if config.is_operator_only:
        raise NotFound
    checked = mailboxes.with_stored_secrets(row, config).checked()
    is_private = mailboxes.has_private_server(row, checked)
    tokens = access.TokenStore(row, is_changed=True)
    connection = Connection(config=checked, is_private=is_private, network=network, tokens=tokens)
    _test(connection)
    changed = mailboxes.change(row.account_id, row.id, config, actor=actor)
    tokens.commit()
    return changed


def test(account_id: UUID, mailbox_id: UUID, network: Network) -> int | None:
    """Test the stored options; returns the number of messages, if the server reports it.

    raises  NotFound; MailboxError; DecryptionError; ServiceUnavailable
    """
    return _test(access.connection_of(mailboxes.find(account_id, mailbox_id), network))


def _test(connection: Connection) -> int | None:
    with slot():
        return access.test(connection)


@contextmanager
def slot() -> Iterator[None]:
    """Limit the number of tests that run at the same time."""
    if not _tests.acquire(blocking=False):
        raise ServiceUnavailable("Other mailboxes are being tested. Try again in a minute.")
    try:
        yield
    finally:
        _tests.release()
