"""Mailboxes with options: what is fetched, how servers are reached, and who may change them."""

import ssl
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.mailboxes.imap import ImapConfig
from app.mailboxes.types import MailboxError
from app.models import AuditEvent
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes import access as mailbox_access
from app.services.mailboxes import mailboxes, polling
from app.services.mailboxes.access import Connection
from app.services.mailboxes.fetch import PollResult
from tests.support import imap_server as imap
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.receivers import LoopbackNetwork
from tests.support.report_mailboxes import (
    ACCESS,
    AUTHORITY,
    TRUST,
    add,
    counts,
    mail,
    poll_once,
    pulled_from,
    reload,
    stored_mails,
)
from tests.support.zones import Zone

pytestmark = pytest.mark.usefixtures("database")
CERTIFICATES = AUTHORITY.cert_pem.bytes().decode()


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def connect(access: ImapConfig) -> Connection:
    return Connection(config=access, is_private=True, context=TRUST)


@pytest.mark.parametrize(
    ("verb", "reason"),
    [("FETCH", "NO [SERVERBUG] damaged"), ("FETCH", "BAD no such part"), ("STORE", "NO read-only")],
)
def test_message_that_the_server_refuses_does_not_delay_others(
    account_id: UUID, verb: str, reason: str
) -> None:
    mails = imap.numbered([mail(1), mail(2), mail(3)])
    mails.refusals[(verb, 2)] = reason
    with pulled_from(mails) as access:
        row = add(account_id, access)
        result = poll_once(row)
        assert mails.flags.keys() == {1, 3}
        words = reason.partition(" ")[2]
        assert list(result.skipped) == ["INBOX 2"]
        assert words in result.skipped["INBOX 2"]
        assert reload(row).skipped == result.skipped
        mails.refusals.clear()
        assert poll_once(row).skipped == {}
    assert len(stored_mails(account_id)) == 3
    assert (reload(row).skipped, reload(row).failure) == ({}, None)


def test_message_that_breaks_the_connection_does_not_delay_others(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2), mail(3)])
    mails.breaks_at = ("FETCH 1 (BODY",)
    with pulled_from(mails) as access:
        row = add(account_id, access)
        result = poll_once(row)
    assert (result.imported_count, result.failure) == (2, None)
    assert list(result.skipped) == ["INBOX 1"]
    assert mails.flags.keys() == {2, 3}


def test_many_messages_that_break_the_connection_do_not_delay_others(account_id: UUID) -> None:
    mails = imap.numbered([mail(number) for number in range(1, 7)])
    mails.breaks_at = tuple(f"FETCH {number} (BODY" for number in range(1, 6))
    with pulled_from(mails) as access:
        row = add(account_id, access)
        result = poll_once(row)
        assert result.imported_count == 0
        assert result.failure
        assert (poll_once(row).imported_count, mails.flags) == (1, {6: {r"\Seen"}})
        assert len(reload(row).skipped or {}) == 5
        mails.breaks_at = ()
        assert counts(poll_once(row)) == PollResult(imported_count=5)


def test_message_that_failed_is_tried_last(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    mails.refusals[("FETCH", 1)] = "NO not now"
    with pulled_from(mails) as access:
        row = add(account_id, access)
        poll_once(row)
        mails.refusals.clear()
        mails.content[3] = mail(3)
        poll_once(row)
    assert mails.fetched == [2, 3, 1]


def test_messages_that_cannot_be_moved_are_a_failure_of_the_mailbox(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    mails.refusals = {("MOVE", uid): "NO [TRYCREATE] no folder Done" for uid in (1, 2)}
    with pulled_from(mails) as access:
        row = add(account_id, replace(access, done_folder="Done"))
        result = poll_once(row)
        assert result.imported_count == 2
        assert "no folder Done" in (result.failure or "")
        assert not result.is_partial
        mails.refusals.clear()
        assert counts(poll_once(row)) == PollResult(duplicate_count=2)
    assert mails.moved == {"Done": [1, 2]}


def test_words_of_the_server_are_printable(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.refusals[("FETCH", 1)] = "NO \0\x1b[31m too bad"
    with pulled_from(mails) as access:
        row = add(account_id, access)
        assert poll_once(row).skipped == {"INBOX 1": "��[31m too bad"}


@pytest.mark.parametrize(("messages", "expected"), [("unread", [2]), ("all", [1, 2])])
def test_read_messages_are_fetched_or_left_alone_and_counted(
    account_id: UUID, messages: str, expected: list[int]
) -> None:
    mails = imap.numbered([mail(1), mail(2)])
    mails.flags[1] = {r"\Seen"}
    with pulled_from(mails) as access:
        row = add(account_id, replace(access, done_folder="Done", messages=messages))
        result = poll_once(row)
    assert mails.fetched == expected
    assert result.read_count == reload(row).read_count == (1 if messages == "unread" else None)


def test_starttls_is_used_before_the_password_is_sent(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    with pulled_from(mails, has_starttls=True) as access:
        row = add(account_id, access)
        assert counts(poll_once(row)) == PollResult(imported_count=1)
        mails.status = "NO not today"
        assert poll_once(row).failure == "the server refused STARTTLS: NO not today"
        mails.status = "OK " + "x" * 5_000
        assert poll_once(row).failure == "the server is not an IMAP server with STARTTLS"


def test_certificate_of_another_host_is_rejected_with_starttls(account_id: UUID) -> None:
    with pulled_from(imap.numbered([]), "other.test", has_starttls=True) as access:
        assert "certificate" in (poll_once(add(account_id, access)).failure or "").lower()


@pytest.mark.parametrize("has_starttls", [False, True])
def test_own_certificate_authority_is_trusted_and_no_other(
    account_id: UUID, has_starttls: bool
) -> None:
    with pulled_from(imap.numbered([mail(1)]), has_starttls=has_starttls) as access:
        row = add(account_id, access)
        result = polling.poll(row.id, is_forced=True)
        assert result is not None
        assert "certificate" in (result.failure or "").lower()
        changed = replace(access, ca_certificates=CERTIFICATES)
        mailboxes.change(account_id, row.id, changed, actor=ACTOR, is_private=True)
        result = polling.poll(row.id, is_forced=True)
    assert counts(result) == PollResult(imported_count=1)


def test_test_signs_in_and_creates_the_folder(account_id: UUID) -> None:
    mails = imap.numbered([mail(1)])
    mails.folders = set()
    with pulled_from(mails) as access:
        access = replace(access, done_folder="Erledigt ü")
        with pytest.raises(MailboxError, match=r"cannot be used: \[NONEXISTENT\] no folder of"):
            mailbox_access.test(connect(access))
        access = replace(access, missing_folder="create")
        assert mailbox_access.test(connect(access)) == 1
        assert mails.folders == {"Erledigt &APw-"}
        assert mailbox_access.test(connect(access)) == 1
        with pytest.raises(MailboxError, match="wrong password"):
            mailbox_access.test(connect(replace(access, password="x")))
    assert not mails.flags


def test_preview_changes_nothing(account_id: UUID) -> None:
    mails = imap.numbered([mail(1), mail(2), mail(3)])
    mails.flags[3] = {r"\Seen"}
    mails.sizes = {1: 100, 2: LIMITS.message + 1}
    with pulled_from(mails) as access:
        row = add(account_id, replace(access, ca_certificates=CERTIFICATES))
        preview = mailbox_access.preview(row)
    assert [(message.name, message.reason) for message in preview.messages] == [
        ("INBOX 1", None),
        ("INBOX 2", "larger than 25 MiB"),
    ]
    assert preview.read_count == 1
    assert (mails.fetched, mails.flags) == ([], {3: {r"\Seen"}})
    assert stored_mails(account_id) == []


def test_paused_mailbox_is_not_polled_until_it_is_resumed(account_id: UUID) -> None:
    with pulled_from(imap.numbered([mail(1)])) as access:
        row = add(account_id, replace(access, password="wrong"))
        poll_once(row)
        assert reload(row).failing_since is not None
        paused = mailboxes.pause(account_id, row.id, actor=ACTOR)
        assert paused.failing_since is None
        assert polling.poll(row.id, is_forced=True, context=TRUST) is None
        assert polling.poll(row.id, context=TRUST) is None
        mailboxes.change(account_id, row.id, access, actor=ACTOR, is_private=True)
        mailboxes.resume(account_id, row.id, actor=ACTOR)
        result = polling.poll(row.id, context=TRUST)
    assert counts(result) == PollResult(imported_count=1)
    with transaction(readonly=True) as session:
        actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
        details = [str(event.details) for event in session.scalars(select(AuditEvent))]
    mine = [action for action in actions if action.startswith("mailbox.")]
    assert mine == ["mailbox.added", "mailbox.paused", "mailbox.changed", "mailbox.resumed"]
    assert not any(imap.PASSWORD in text for text in details)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "imap.other.test"},
        {"port": 994},
        {"username": "other"},
        {"security": "starttls"},
        {"ca_certificates": CERTIFICATES},
    ],
)
def test_stored_password_is_never_used_for_another_server(
    account_id: UUID, change: dict[str, Any]
) -> None:
    row = add(account_id, ACCESS)
    stored = row.secrets_encrypted
    without = replace(ACCESS, password="")
    with pytest.raises(InvalidRequest):
        mailboxes.change(account_id, row.id, replace(without, **change), actor=ACTOR)
    assert (reload(row).secrets_encrypted, reload(row).options) == (stored, ACCESS.public())
    mailboxes.change(account_id, row.id, replace(without, folder="Reports"), actor=ACTOR)
    assert mailbox_access.config_of(reload(row)) == replace(ACCESS, folder="Reports")


@pytest.mark.parametrize(
    "change",
    [
        {"security": "none"},
        {"ca_certificates": "x"},
        {"ca_certificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        *({"ca_certificates": text} for text in ("ä", CERTIFICATES + "\0")),
        {"ca_certificates": CERTIFICATES * 100},
        {"done_folder": "INBOX"},
        {"messages": "all"},
        {"messages": "some"},
    ],
)
def test_invalid_options_are_refused(account_id: UUID, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        mailboxes.add(account_id, replace(ACCESS, **change), actor=ACTOR)


def test_other_accounts_cannot_change_a_mailbox(account_id: UUID) -> None:
    row = add(account_id, ACCESS)
    second = add(account_id, replace(ACCESS, folder="Second"))
    other = make_account().id
    for call in (mailboxes.pause, mailboxes.resume):
        with pytest.raises(NotFound):
            call(other, row.id, actor=ACTOR)
    with pytest.raises(NotFound):
        mailboxes.change(other, row.id, ACCESS, actor=ACTOR)
    with pytest.raises(NotFound):
        mailboxes.find(other, row.id)
    with pytest.raises(Conflict):
        mailboxes.change(account_id, second.id, ACCESS, actor=ACTOR)


def test_account_has_a_limited_number_of_mailboxes(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "MAX_MAILBOXES", 1)
    add(account_id, ACCESS)
    with pytest.raises(Conflict, match="at most 1"):
        add(account_id, replace(ACCESS, folder="Second"))


def test_mailbox_of_an_account_connects_to_checked_addresses_only(account_id: UUID) -> None:
    network = LoopbackNetwork(
        Zone(
            {
                ("imap.acme.test", "A"): ["127.0.0.1"],
                ("internal.acme.test", "A"): ["10.0.0.1"],
            }
        )
    )
    with pulled_from(imap.numbered([mail(1)]), "imap.acme.test") as access:
        row = mailboxes.add(account_id, replace(access, host="imap.acme.test"), actor=ACTOR)
        result = polling.poll(row.id, network, is_forced=True, context=TRUST)
        assert counts(result) == PollResult(imported_count=1)
        for host in ("internal.acme.test", "none.acme.test", "127.0.0.1", "localhost"):
            other = mailboxes.add(account_id, replace(access, host=host), actor=ACTOR)
            result = polling.poll(other.id, network, is_forced=True, context=TRUST)
            assert result is not None
            assert result.failure == f"{host} is not a host name with public addresses"


def test_default_context_verifies_certificates() -> None:
    context = ssl.create_default_context(cadata=CERTIFICATES)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
