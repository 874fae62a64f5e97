"""Messages in a POP3 mailbox on loopback."""

import pytest

from app.mailboxes import pop3
from app.mailboxes.pop3 import Pop3Config
from app.mailboxes.types import Mailbox, MailboxError, MessageError
from app.services.mailboxes.access import Connection
from tests.support import pop3_server
from tests.support.pop3_mailboxes import served

pytestmark = [
    pytest.mark.usefixtures("database"),  # the client reads settings
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def connect(config: Pop3Config) -> Connection:
    return Connection(config=config, is_private=True)


def fetch(mailbox: Mailbox) -> dict[str, bytes]:
    """Read and acknowledge all messages."""
    contents = {}
    for message in mailbox.messages():
        contents[message.name] = message.read()
        message.acknowledge()
    return contents


def failure_of(config: Pop3Config) -> str:
    """The reason why the mailbox cannot be read."""
    with pytest.raises(MailboxError) as raised:
        open_and_fetch(config)
    return str(raised.value)


def open_and_fetch(config: Pop3Config) -> dict[str, bytes]:
    """Open the mailbox, and read and acknowledge all messages."""
    with connect(config).opened() as mailbox:
        return fetch(mailbox)


@pytest.mark.parametrize("has_starttls", [False, True])
def test_imported_messages_are_deleted_when_the_session_ends(has_starttls: bool) -> None:
    maildrop = pop3_server.numbered([b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\n"])
    contents = dict(maildrop.content)
    with served(maildrop, has_starttls=has_starttls) as config:
        with connect(config).opened() as mailbox:
            assert (mailbox.message_count, mailbox.read_count) == (2, None)
            assert not mailbox.keeps_messages
            assert [message.size() for message in mailbox.messages()] == [19, 14]
            assert fetch(mailbox) == contents
            assert maildrop.content == contents
        assert maildrop.content == {}
    assert maildrop.commands.count("STLS") == has_starttls


def test_messages_can_stay_on_the_server() -> None:
    maildrop = pop3_server.numbered([b"1\r\n", b"2\r\n"])
    with served(maildrop, after_import="keep") as config, connect(config).opened() as mailbox:
        assert mailbox.keeps_messages
        assert [message.key for message in mailbox.messages()] == ["uid-1", "uid-2"]
        fetch(mailbox)
    assert maildrop.content.keys() == {"uid-1", "uid-2"}


@pytest.mark.parametrize(
    "content",
    [
        b".\r\n..\r\n.x\r\n",
        b"long " + b"x" * 100_000 + b"\r\n",
        b"\xff\x00 bytes \r alone\r\n\r\n",
        b"\r\n" * 1_000,
    ],
)
def test_content_is_unchanged(content: bytes) -> None:
    maildrop = pop3_server.numbered([content])
    with served(maildrop) as config:
        assert open_and_fetch(config) == {"uid-1": content}


@pytest.mark.parametrize("password", ["with two words", "grüße", "x" * 500])
def test_passwords_can_have_any_printable_characters(password: str) -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.password = password
    with served(maildrop) as config, connect(config).opened() as mailbox:
        assert mailbox.message_count == 1


@pytest.mark.parametrize("password", ["a\r\nDELE 1", "a\nb", "a\0b"])
def test_password_cannot_contain_a_command(password: str) -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    with served(maildrop, password=password) as config:
        failure = failure_of(config)
    assert "printable" in failure
    assert maildrop.commands == []


def test_refused_sign_in_has_the_words_of_the_server() -> None:
    with served(pop3_server.numbered([]), password="no") as config:
        failure = failure_of(config)
    assert failure == "[AUTH] wrong password"


def test_message_that_the_server_refuses_does_not_affect_others() -> None:
    maildrop = pop3_server.numbered([b"1\r\n", b"2\r\n"])
    maildrop.refusals = {"RETR 1": "-ERR [SYS/TEMP] \x1b[31m damaged"}
    with served(maildrop) as config, connect(config).opened() as mailbox:
        first, second = mailbox.messages()
        with pytest.raises(MessageError, match=r"\[SYS/TEMP\] �\[31m damaged"):
            first.read()
        assert second.read() == b"2\r\n"


def test_server_that_does_not_delete_messages_is_an_error() -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.keeps_deleted = True
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "cannot be deleted: some deleted messages not" in failure


def test_interrupted_session_deletes_nothing() -> None:
    maildrop = pop3_server.numbered([b"1\r\n", b"2\r\n"])
    maildrop.breaks_at = ("RETR 2",)
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "closed the connection" in failure
    assert list(maildrop.content) == ["uid-1", "uid-2"]


def test_error_of_the_caller_does_not_prevent_the_deletion() -> None:
    maildrop = pop3_server.numbered([b"1\r\n", b"2\r\n"])

    def fail_after_the_first(config: Pop3Config) -> None:
        with connect(config).opened() as mailbox:
            next(mailbox.messages()).acknowledge()
            raise RuntimeError

    with served(maildrop) as config, pytest.raises(RuntimeError):
        fail_after_the_first(config)
    assert list(maildrop.content) == ["uid-2"]


def test_server_without_unique_ids_is_an_error() -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.refusals = {"UIDL": "-ERR unknown command"}
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "(UIDL): unknown" in failure


@pytest.mark.parametrize(
    "line", [b"x y\r\n", b"7\r\n", b"7 \xff\xff\r\n", b"8 a b\r\n", b"9 " + b"x" * 71 + b"\r\n"]
)
def test_malformed_list_is_an_error(line: bytes) -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.unlisted = line
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "malformed" in failure


def test_endless_list_is_an_error() -> None:
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.is_flooding = True
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "more than the maximum" in failure


def test_endless_message_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop3, "MAX_SECONDS", 0.5)
    maildrop = pop3_server.numbered([b"1\r\n"])
    maildrop.is_slow = True
    with served(maildrop) as config:
        failure = failure_of(config)
    assert "did not finish" in failure


@pytest.mark.parametrize("has_starttls", [False, True])
def test_certificate_of_another_host_is_rejected(has_starttls: bool) -> None:
    maildrop = pop3_server.numbered([])
    with served(maildrop, "other.test", has_starttls=has_starttls) as config:
        failure = failure_of(config)
    assert "certificate" in failure.lower()
    assert all(command == "STLS" for command in maildrop.commands)


@pytest.mark.parametrize("response", ["-ERR not today", "+OK" * 2_000])
def test_server_without_tls_gets_no_password(response: str) -> None:
    maildrop = pop3_server.numbered([])
    maildrop.starttls = response
    with served(maildrop, has_starttls=True) as config:
        failure = failure_of(config)
    assert "STARTTLS" in failure
    assert maildrop.commands == ["STLS"]
