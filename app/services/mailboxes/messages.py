"""The messages of a mailbox that were imported: each is stored once, whatever its bytes are.

The key of a message is stored in the transaction that stores its file, and deleted after the
mailbox no longer lists the message.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from itertools import islice
from uuid import UUID

from sqlalchemy import delete, select

from app.db import bulk
from app.db.transactions import transaction
from app.mailboxes.types import Mailbox, MailboxError, WaitingMessage
from app.models import MailboxMessage, ReportMailbox
from app.services.ingest import files
from app.services.ingest.files import NewFile, StoredFile

BATCH_SIZE = 500


def store(mailbox: ReportMailbox, key: str, file: NewFile) -> StoredFile:
    """Store the file of a message and the key of the message.

    raises  MailboxError if the mailbox was deleted; QuotaExceeded
    """
    with transaction() as session:
        is_same = ReportMailbox.id == mailbox.id
        locked = select(ReportMailbox.id).where(is_same).with_for_update(read=True, key_share=True)
        if session.scalar(locked) is None:
            raise MailboxError("the mailbox was deleted")
        stored = files.store_in(session, mailbox.account_id, file, received_via="mailbox")
        row = {"mailbox_id": mailbox.id, "key_digest": digest(key)}
        session.execute(bulk.insert(session, MailboxMessage).on_conflict_do_nothing(), [row])
    return stored


def listed(mailbox_id: UUID, mailbox: Mailbox) -> Iterator[tuple[WaitingMessage, bool]]:
    """Yield the messages that the mailbox lists, and whether each was imported.

    raises  MailboxError
    """
    messages = mailbox.messages()
    while batch := list(islice(messages, BATCH_SIZE)):
        digests = [digest(message.key) for message in batch]
        imported = _imported(mailbox_id, digests)
        for message, key_digest in zip(batch, digests, strict=True):
            yield message, key_digest in imported


def _imported(mailbox_id: UUID, digests: Sequence[bytes]) -> Set[bytes]:
    is_own = MailboxMessage.mailbox_id == mailbox_id
    with transaction(readonly=True) as session:
        return set(
            session.scalars(
                select(MailboxMessage.key_digest).where(
                    is_own, MailboxMessage.key_digest.in_(digests)
                )
            )
        )


def forget_others(mailbox_id: UUID, listed: Set[bytes]) -> None:
    """Delete the keys of messages that the mailbox no longer lists."""
    is_own = MailboxMessage.mailbox_id == mailbox_id
    with transaction(readonly=True) as session:
        keys = set(session.scalars(select(MailboxMessage.key_digest).where(is_own)))
    unlisted = sorted(keys - listed)
    for start in range(0, len(unlisted), BATCH_SIZE):
        batch = unlisted[start : start + BATCH_SIZE]
        with transaction() as session:
            is_unlisted = MailboxMessage.key_digest.in_(batch)
            session.execute(delete(MailboxMessage).where(is_own, is_unlisted))


def digest(key: str) -> bytes:
    """Return the form in which the key of a message is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
