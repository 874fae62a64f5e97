"""Mailboxes of accounts at an IMAP server on loopback."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

import trustme
from sqlalchemy import select

from app.db.transactions import transaction
from app.mailboxes.config import MailboxConfig
from app.mailboxes.imap import ImapConfig
from app.models import ReportFile, ReportMailbox
from app.services.mailboxes import mailboxes, polling
from app.services.mailboxes.fetch import PollResult
from tests.support import imap_server
from tests.support.factories import ACTOR
from tests.support.report_documents import dmarc_xml

AUTHORITY = trustme.CA()
TRUST = ssl.create_default_context()
AUTHORITY.configure_trust(TRUST)
ACCESS = ImapConfig(
    host="127.0.0.1", port=993, username="reports@acme.test", password=imap_server.PASSWORD
)


def mail(number: int) -> bytes:
    """A mail with a report, which differs for each number."""
    return b"From: noreply@receiver.test\r\nContent-Type: text/xml\r\n\r\n" + dmarc_xml(
        report_id=str(number)
    )


@contextmanager
def pulled_from(
    mails: imap_server.Mails, name: str = "127.0.0.1", *, has_starttls: bool = False
) -> Iterator[ImapConfig]:
    """Access to a server with these mails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    with imap_server.serving(mails, context, has_starttls=has_starttls) as port:
        yield replace(ACCESS, port=port, security="starttls" if has_starttls else "tls")


def add(account_id: UUID, access: MailboxConfig) -> ReportMailbox:
    """Add a mailbox as operators do, whose server may have any address."""
    return mailboxes.add(account_id, access, actor=ACTOR, is_private=True)


def poll_once(row: ReportMailbox) -> PollResult:
    """Poll the mailbox now."""
    result = polling.poll(row.id, is_forced=True, context=TRUST)
    assert result is not None
    return result


def counts(result: PollResult | None) -> PollResult:
    """The result without what it says about messages that were not imported."""
    assert result is not None
    return replace(result, read_count=None, skipped={})


def stored_mails(account_id: UUID) -> list[bytes]:
    """The digests of the stored mails, oldest first."""
    with transaction(readonly=True) as session:
        mine = ReportFile.account_id == account_id
        rows = session.scalars(select(ReportFile).where(mine).order_by(ReportFile.id)).all()
    assert all(row.received_via == "mailbox" for row in rows)
    return [row.sha256 for row in rows]


def reload(row: ReportMailbox) -> ReportMailbox:
    """The current row."""
    with transaction(readonly=True) as session:
        return session.get_one(ReportMailbox, row.id)
