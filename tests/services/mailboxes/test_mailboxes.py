"""Mailboxes are polled over TLS; messages are marked after they are stored."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app import settings as app_settings
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.mailboxes import imap as mailboxes_imap
from app.models import MailboxMessage, ReportMailbox
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes import mailboxes, polling
from app.services.mailboxes.fetch import PollResult
from tests.support import imap_server as imap
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_mailboxes import (
    ACCESS,
    TRUST,
    add,
    counts,
    mail,
    poll_once,
    pulled_from,
    reload,
    stored_mails,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def test_unread_messages_are_imported_once_and_marked_as_seen(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert counts(poll_once(row)) == PollResult(imported_count=2)
        assert mails.flags == {1: {r"\Seen"}, 2: {r"\Seen"}}
        mails.content[3] = mail(3)
        assert counts(poll_once(row)) == PollResult(imported_count=1)
    assert mails.fetched == [1, 2, 3]
    assert len(stored_mails(account_id)) == 3
    assert (reload(row).imported_count, reload(row).failure) == (3, None)


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 UIDPLUS MOVE", "IMAP4rev1 UIDPLUS"])
def test_imported_messages_are_moved_to_the_configured_folder(
    account_id: UUID, capabilities: str
) -> None:
    mails = imap.numbered([mail(1)])
    mails.capabilities = capabilities
    with pulled_from(mails) as access:
        row = add(account_id, replace(access, done_folder="Done it"))
        assert poll_once(row).imported_count == 1
    assert (mails.moved, mails.content) == ({"Done it": [1]}, {})


def test_capabilities_after_login_are_used(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.greeting, mails.capabilities = "IMAP4rev1 MOVE", "IMAP4rev1 UIDPLUS"
    with pulled_from(mails) as access:
        row = add(account_id, replace(access, done_folder="Done"))
        assert poll_once(row).imported_count == 1
    assert (mails.moved, mails.flags) == ({"Done": [1]}, {1: {r"\Deleted"}})


def test_user_names_and_passwords_can_have_any_characters(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.username, mails.password, mails.folder = "berichte", "pässwörd", "M&APw-ll &- Co"
    with pulled_from(mails) as access:
        access = replace(access, username="berichte", password="pässwörd", folder="Müll & Co")
        row = add(account_id, replace(access, done_folder="Erledigtes ✓"))
        assert counts(poll_once(row)) == PollResult(imported_count=1)
    assert mails.moved == {"Erledigtes &JxM-": [1]}


@pytest.mark.parametrize(
    "response",
    [
        b"* 1 FETCH " + b"(" * 20_000,
        b"* 1 FETCH (UID",
        b"* 1 FETCH (UID 1 ENVELOPE 7)",
        b"* 1 FETCH (UID 1 RFC822.SIZE many)",
        b"* 1 FETCH (() ())",
        b"* 1 FETCH (UID 1)",
        b"* 1 FETCH (UID 1 BODY[] {%d}" % 10**30,
    ],
)
def test_malformed_response_is_a_failure(account_id: UUID, response: bytes) -> None:
    mails = imap.numbered([mail(1)])
    mails.malformed = response
    with pulled_from(mails) as access:
        row = add(account_id, access)
        result = poll_once(row)
        reasons = [result.failure or "", *result.skipped.values()]
        assert any(reason.startswith("the server ") for reason in reasons)
        mails.malformed = b""
        assert counts(poll_once(row)) == PollResult(imported_count=1)


def test_endless_response_is_a_failure(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.is_flooding = True
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert "more than the maximum" in (poll_once(row).failure or "")


def test_message_is_marked_only_after_it_is_stored(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    before = app_settings.current()
    with pulled_from(mails) as access:
        row = add(account_id, access)
        app_settings.use(before.replace(ingest_files_per_day=1))
        try:
            result = poll_once(row)
        finally:
            app_settings.use(before)
        assert result.imported_count == 1
        assert result.failure
        assert mails.flags == {1: {r"\Seen"}}
        assert counts(poll_once(row)) == PollResult(imported_count=1)


def test_interrupted_poll_continues_immediately_with_the_next(
    account_id: UUID,
) -> None:
    answers = iter([False, True])
    with pulled_from(imap.numbered([mail(1), mail(2)])) as access:
        row = add(account_id, access)
        first = polling.poll(row.id, context=TRUST, is_stopping=lambda: next(answers))
        assert counts(first) == PollResult(imported_count=1, is_partial=True)
        assert counts(polling.poll(row.id, context=TRUST)) == PollResult(imported_count=1)
        assert polling.poll(row.id, context=TRUST) is None


def test_poll_without_progress_is_not_repeated_immediately(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", -1.0)
    with pulled_from(imap.numbered([mail(1)])) as access:
        row = add(account_id, access)
        assert counts(polling.poll(row.id, context=TRUST)) == PollResult()
        assert polling.poll(row.id, context=TRUST) is None


def test_repeated_mail_is_one_file(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.breaks_at = ("STORE",)
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert poll_once(row).failure
        mails.breaks_at = ()
        assert counts(poll_once(row)) == PollResult(duplicate_count=1)
    assert mails.flags == {1: {r"\Seen"}}
    assert len(stored_mails(account_id)) == 1


def test_too_large_mail_is_left_in_the_mailbox_and_counted(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    mails.sizes[1] = LIMITS.message + 1
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert counts(poll_once(row)) == PollResult(imported_count=1, too_large=1)
    assert mails.fetched == [2]
    assert reload(row).too_large == 1


def test_server_that_sends_more_than_announced_is_disconnected(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.is_lying = True
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert "more than the maximum message size" in (poll_once(row).failure or "")
    assert not stored_mails(account_id)


def test_endless_server_is_disconnected_with_an_error(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes_imap, "MAX_SECONDS", 1.0)
    mails = imap.numbered([mail(1), mail(2)])
    mails.is_slow = True
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert poll_once(row).failure == "the server did not finish within 1 seconds"
        assert reload(row).failing_since is not None
        mails.is_slow = False
        assert counts(poll_once(row)) == PollResult(imported_count=2)


def test_certificate_of_another_host_is_rejected(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    with pulled_from(mails, "other.test") as access:
        row = add(account_id, access)
        assert "certificate" in (poll_once(row).failure or "").lower()
    assert not mails.fetched


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "wrong password"),
        ({"folder": "Nowhere"}, "folder Nowhere cannot be opened: such folder"),
        ({"port": 1}, "Connection refused"),
    ],
)
def test_refusal_of_the_server_is_shown_in_its_own_words(
    account_id: UUID, change: dict[str, Any], words: str
) -> None:
    with pulled_from(imap.numbered([])) as access:
        row = add(account_id, replace(access, **change))
        assert poll_once(row).failure == words
    assert reload(row).failure == words


def test_failing_period_starts_with_the_first_failure_and_ends_with_a_success(
    account_id: UUID,
) -> None:
    with pulled_from(imap.numbered([])) as access:
        row = add(account_id, replace(access, port=1))
        poll_once(row)
        since = reload(row).failing_since
        assert since is not None
        poll_once(row)
        assert reload(row).failing_since == since
        with transaction() as session:
            session.execute(update(ReportMailbox).values(options=access.public()))
        poll_once(row)
        assert reload(row).failing_since is None


def test_mailbox_is_polled_by_one_worker_and_only_when_due(account_id: UUID) -> None:
    with pulled_from(imap.numbered([mail(1)])) as access:
        row = add(account_id, access)
        assert counts(polling.poll(row.id, context=TRUST)) == PollResult(imported_count=1)
        assert polling.poll(row.id, context=TRUST) is None
        with transaction() as session:
            session.execute(update(ReportMailbox).values(next_at=row.created_at))
        assert counts(polling.poll(row.id, context=TRUST)) == PollResult()


def test_password_is_not_stored_in_clear_text(account_id: UUID) -> None:
    row = add(account_id, ACCESS)
    assert imap.PASSWORD not in reload(row).secrets_encrypted


def test_account_lists_and_removes_only_its_own_mailboxes(account_id: UUID) -> None:
    row = add(account_id, ACCESS)
    with pytest.raises(Conflict):
        add(account_id, ACCESS)
    other = make_account()
    assert not mailboxes.search(other.id)
    with pytest.raises(NotFound):
        mailboxes.remove(other.id, row.id, actor=ACTOR)
    mailboxes.remove(account_id, row.id, actor=ACTOR)
    assert not mailboxes.search(account_id)
    assert polling.poll(row.id, is_forced=True) is None


@pytest.mark.parametrize(
    "change",
    [
        {"host": "a b"},
        {"port": 0},
        {"username": "a\r\nb"},
        {"password": ""},
        {"folder": "a\0b"},
        {"done_folder": "x" * 201},
    ],
)
def test_invalid_mailbox_access_is_refused(account_id: UUID, change: dict[str, Any]) -> None:
    access = replace(ACCESS, **change)
    with pytest.raises(InvalidRequest):
        add(account_id, access)


def test_message_is_stored_once_although_its_bytes_differ(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.breaks_at = ("STORE",)
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert poll_once(row).imported_count == 1
        mails.content[1] = mail(2)
        mails.breaks_at = ()
        assert counts(poll_once(row)) == PollResult(duplicate_count=1)
    assert mails.fetched == [1]
    assert len(stored_mails(account_id)) == 1


def test_keys_of_messages_that_are_no_longer_listed_are_deleted(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    mails.breaks_at = ("STORE 2",)
    with pulled_from(mails) as access:
        row = add(account_id, access)
        poll_once(row)
        assert key_count() == 1
        mails.breaks_at = ()
        poll_once(row)
        poll_once(row)
    assert key_count() == 0


def key_count() -> int:
    with transaction(readonly=True) as session:
        return session.scalar(select(func.count()).select_from(MailboxMessage)) or 0


def test_nothing_is_fetched_after_the_mailbox_was_deleted(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    with pulled_from(mails) as access:
        row = add(account_id, access)

        def delete_in_between() -> bool:
            if mails.fetched == [1]:
                mailboxes.remove(account_id, row.id, actor=ACTOR)
            return False

        result = polling.poll(row.id, context=TRUST, is_stopping=delete_in_between)
    assert result is not None
    assert list(result.skipped.values()) == ["the mailbox was deleted"]
    assert len(stored_mails(account_id)) == 1
