"""Emails to people: sent once, retried after a failure, and without their text afterwards."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import ids, runtime
from app import settings as app_settings
from app.channels import smtp
from app.db.transactions import now, transaction
from app.models import Email
from app.services.accounts import accounts
from app.services.emails import emails
from app.services.emails.emails import NewEmail
from app.services.operations import retention
from app.services.sign_in import password_resets
from app.settings import Settings
from tests.support.receivers import LoopbackNetwork
from tests.support.smtp_server import Inbox
from worker import jobs, shutdown

LINK = "https://watch.test/auth/invitation/a-secret"


def new_email(recipient: str, subject: str, body: str, account_id: UUID | None) -> NewEmail:
    return NewEmail(
        recipient=recipient, kind="invitation", subject=subject, body=body, account_id=account_id
    )


def enqueue(recipient: str = "bob@acme.test", account_id: UUID | None = None) -> None:
    with transaction() as session:
        emails.enqueue(session, new_email(recipient, "Join Acme", f"Go to {LINK}", account_id))


def only_row() -> Email:
    with transaction(readonly=True) as session:
        return session.scalars(select(Email)).one()


def make_due() -> None:
    with transaction() as session:
        early = now(session) - timedelta(seconds=1)
        session.execute(update(Email).values(next_attempt_at=early))


def test_email_is_sent_once_and_its_text_is_cleared(account_id: UUID, inbox: Inbox) -> None:
    enqueue(account_id=account_id)
    assert LINK not in only_row().body
    assert emails.send_due() == 1
    assert emails.send_due() == 0
    (message,) = inbox.messages
    assert (message["From"], message["To"]) == ("Watch <w@watch.test>", "bob@acme.test")
    assert message["Subject"] == "Join Acme"
    assert message["Auto-Submitted"] == "auto-generated"
    assert LINK in message.get_content()
    row = only_row()
    assert (row.status, row.body, row.attempts, row.error) == ("sent", "", 1, None)
    assert row.sent_at is not None


def test_rolled_back_action_sends_no_email(account_id: UUID, inbox: Inbox) -> None:
    def act() -> None:
        with transaction() as session:
            emails.enqueue(session, new_email("bob@acme.test", "Join", LINK, account_id))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    assert emails.send_due() == 0
    assert inbox.messages == []


def test_concurrent_workers_send_each_email_once(account_id: UUID, inbox: Inbox) -> None:
    for number in range(12):
        enqueue(f"p{number}@acme.test", account_id)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: emails.send_due(), range(4)))
    assert sum(counts) == 12
    assert sorted(recipient for (recipient,) in inbox.recipients) == sorted(
        f"p{number}@acme.test" for number in range(12)
    )


def test_claimed_email_is_not_due_while_a_worker_can_live(account_id: UUID) -> None:
    enqueue(account_id=account_id)
    with transaction(readonly=True) as session:
        before = now(session)
    assert emails._claim() is not None  # a worker that is killed before it sends
    assert emails.send_due() == 0
    next_attempt_at = only_row().next_attempt_at
    assert next_attempt_at is not None
    assert next_attempt_at >= before + emails.LEASE_DURATION


@pytest.mark.parametrize("answer", ["451 later", "550 no"])
def test_refused_email_is_retried_on_schedule(
    account_id: UUID, inbox: Inbox, settings: Settings, answer: str
) -> None:
    app_settings.use(settings.replace(delivery_schedule=(0.0, 60.0)))
    inbox.answer = answer
    enqueue(account_id=account_id)
    assert emails.send_due() == 1
    row = only_row()
    assert (row.status, row.attempts) == ("queued", 1)
    assert LINK not in row.body
    inbox.answer = "250 taken"
    make_due()
    assert emails.send_due() == 1
    assert len(inbox.messages) == 1


def test_email_fails_without_its_text_after_the_last_attempt(
    account_id: UUID, inbox: Inbox, settings: Settings
) -> None:
    app_settings.use(settings.replace(delivery_schedule=(0.0,)))
    inbox.answer = "550 no"
    enqueue(account_id=account_id)
    emails.send_due()
    row = only_row()
    assert (row.status, row.body, row.error) == ("failed", "", "the mail server responded with 550")


def test_no_email_is_stored_without_a_mail_server(account_id: UUID, settings: Settings) -> None:
    app_settings.use(settings.replace(smtp_url=None))
    enqueue(account_id=account_id)
    row = only_row()
    assert (row.status, row.body, row.error) == ("skipped", "", smtp.NOT_SET)
    assert emails.send_due() == 0


def test_unreachable_server_costs_one_attempt_of_one_email(
    account_id: UUID, settings: Settings
) -> None:
    app_settings.use(settings.replace(smtp_url="smtp://127.0.0.1:1"))
    for number in range(3):
        enqueue(f"p{number}@acme.test", account_id)
    assert emails.send_due() == 1


def test_subject_and_address_cannot_add_recipients(account_id: UUID, inbox: Inbox) -> None:
    with transaction() as session:
        subject = "Join\r\nBcc: all@evil.test"
        emails.enqueue(session, new_email("bob@acme.test", subject, LINK, account_id))
    enqueue("bob@acme.test,eve@evil.test", account_id)
    emails.send_due()
    assert inbox.messages[0]["Bcc"] is None
    assert all("eve@evil.test" not in recipients for recipients in inbox.recipients)


def test_old_rows_are_deleted(account_id: UUID) -> None:
    enqueue(account_id=account_id)
    emails.send_due()
    assert retention.run() == {}
    with transaction() as session:
        old = now(session) - emails.RETENTION - timedelta(minutes=1)
        session.execute(update(Email).values(finished_at=old))
    assert retention.run() == {"emails": 1}


def test_delivery_job_sends_requested_links(
    account_id: UUID, inbox: Inbox, network: LoopbackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "_is_requested", False)
    monkeypatch.setattr(runtime, "_network", network)
    accounts.add_user(ids.public("acc", account_id), "ann@acme.test", role="owner")
    password_resets.request(" Ann@Acme.test ")
    jobs.deliver()
    (message,) = inbox.messages
    assert message["To"] == "ann@acme.test"
    assert "/auth/password/" in message.get_content()


def test_delivery_job_sends_emails(
    account_id: UUID, inbox: Inbox, network: LoopbackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "_is_requested", False)
    monkeypatch.setattr(runtime, "_network", network)
    enqueue(account_id=account_id)
    jobs.deliver()
    assert len(inbox.messages) == 1
