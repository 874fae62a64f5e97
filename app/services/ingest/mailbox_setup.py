"""Mailboxes that the administrators of an account add and change, after a test of the connection.

Administrators choose the server, so its addresses must be public, unless an operator added it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.errors import ServiceUnavailable
from app.mailboxes.imap import Account
from app.models import ReportMailbox
from app.ports.network import Network
from app.services.ingest import mailbox_access, mailboxes
from app.services.ingest.mailbox_access import Connection

MAX_TESTS = 2  # at a time in this process, as a server may take long to answer

_tests = threading.BoundedSemaphore(MAX_TESTS)


def add(
    account_id: UUID, access: Account, network: Network, *, actor: str, creates_folder: bool
) -> ReportMailbox:
    """Test the access, add the mailbox and return it.

    creates_folder  create the folder of imported mails if it does not exist
    raises          MailboxError; InvalidRequest; Conflict; ServiceUnavailable
    """
    checked = mailbox_access.checked(access)
    _test(Connection(checked, is_private=False, network=network), creates_folder)
    return mailboxes.add(account_id, checked, actor=actor)


def change(
    row: ReportMailbox, access: Account, network: Network, *, actor: str, creates_folder: bool
) -> ReportMailbox:
    """Test the access, and replace that of the mailbox.

    access  with an empty password, the stored one is kept; this requires the same server
    raises  NotFound; otherwise as ``add``
    """
    checked = mailbox_access.checked(mailboxes.with_stored_password(row, access))
    is_private = mailboxes.has_private_server(row, checked)
    _test(Connection(checked, is_private=is_private, network=network), creates_folder)
    return mailboxes.change(row.account_id, row.id, access, actor=actor)


def test(account_id: UUID, mailbox_id: UUID, network: Network) -> int | None:
    """Test the stored access; returns the number of mails, if the server reports it.

    raises  NotFound; MailboxError; DecryptionError; ServiceUnavailable
    """
    row = mailboxes.find(account_id, mailbox_id)
    return _test(mailbox_access.connection_of(row, network), creates_folder=False)


def _test(connection: Connection, creates_folder: bool) -> int | None:
    with slot():
        return mailbox_access.test(connection, creates_folder=creates_folder)


@contextmanager
def slot() -> Iterator[None]:
    """Limit the number of tests that run at the same time."""
    if not _tests.acquire(blocking=False):
        raise ServiceUnavailable("Other mailboxes are being tested. Try again in a minute.")
    try:
        yield
    finally:
        _tests.release()
