"""IMAP mailboxes with access tokens, against a token endpoint and an IMAP server on loopback."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.mailboxes.imap_oauth import ImapGmailConfig, ImapMicrosoftConfig
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.network.session import LiveNetwork
from app.services.mailboxes import access, mailboxes, polling, setup
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import imap_server as imap
from tests.support import token_server
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_mailboxes import (
    AUTHORITY,
    TRUST,
    counts,
    mail,
    pulled_from,
    reload,
    stored_mails,
)
from tests.support.token_server import CLIENT_ID, CLIENT_SECRET, TokenServer

pytestmark = pytest.mark.usefixtures("database")
IMAP_HOST, TOKEN_HOST = "imap.provider.test", "login.provider.test"


@dataclass
class Provider:
    """A provider with a mailbox, and a network to it."""

    mails: imap.Mails
    tokens: TokenServer
    network: LiveNetwork
    microsoft: ImapMicrosoftConfig
    gmail: ImapGmailConfig

    def add(self, account_id: UUID, config: Any) -> ReportMailbox:
        return mailboxes.add(account_id, config, actor=ACTOR)

    def poll(self, row: ReportMailbox) -> PollResult:
        self.mails.tokens = self.tokens.access_tokens
        result = polling.poll(row.id, self.network, is_forced=True, context=TRUST)
        assert result is not None
        return result


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture
def provider(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    monkeypatch.setenv("SSL_CERT_FILE", token_server.trust(AUTHORITY, tmp_path))
    mails = imap.numbered([mail(1), mail(2)])
    with ExitStack() as stack:
        tokens = stack.enter_context(token_server.serving(AUTHORITY, TOKEN_HOST))
        mails.tokens = tokens.access_tokens
        access = stack.enter_context(pulled_from(mails, IMAP_HOST))
        ports = {IMAP_HOST: access.port, TOKEN_HOST: tokens.port}
        connect_to = tuple((host, "127.0.0.1", port) for host, port in ports.items() if port)
        servers: dict[str, Any] = {
            **{"host": IMAP_HOST, "port": access.port, "token_host": TOKEN_HOST},
            **{"username": access.username, "client_id": CLIENT_ID},
        }
        yield Provider(
            mails=mails,
            tokens=tokens,
            network=LiveNetwork(settings.replace(egress_connect_to=connect_to)),
            microsoft=ImapMicrosoftConfig(
                tenant="acme.test", client_secret=CLIENT_SECRET, **servers
            ),
            gmail=ImapGmailConfig(
                client_secret=CLIENT_SECRET, refresh_token="refresh-0", **servers
            ),
        )


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_application_signs_in_with_the_mechanism_of_the_server(
    account_id: UUID, provider: Provider, mechanism: str
) -> None:
    provider.mails.greeting = f"IMAP4rev1 AUTH=PLAIN AUTH={mechanism}"
    row = provider.add(account_id, provider.microsoft)
    assert counts(provider.poll(row)) == PollResult(imported_count=2)
    assert provider.mails.mechanisms == [mechanism]
    [form] = provider.tokens.forms
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == f"https://{IMAP_HOST}/.default"


def test_access_token_is_stored_encrypted_and_used_until_it_expires(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.gmail)
    provider.poll(row)
    stored = reload(row)
    assert "access-1" not in str((stored.token_encrypted, stored.options, stored.failure))
    provider.mails.content[3] = mail(3)
    assert counts(provider.poll(row)) == PollResult(imported_count=1)
    assert len(provider.tokens.forms) == 1
    provider.tokens.expires_in = 30
    provider.tokens.access_tokens.clear()
    provider.poll(row)
    provider.poll(row)
    assert len(provider.tokens.forms) == 3


def test_access_token_that_the_server_refuses_is_renewed_once(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.gmail)
    provider.poll(row)
    provider.tokens.access_tokens.clear()
    provider.mails.content[3] = mail(3)
    assert counts(provider.poll(row)) == PollResult(imported_count=1)
    provider.mails.username = "someone@else.test"
    result = provider.poll(row)
    assert "Check that IMAP is enabled" in (result.failure or "")
    assert not result.needs_sign_in
    assert len(provider.tokens.forms) == 3


def test_replaced_refresh_token_is_used_for_the_next_access_token(
    account_id: UUID, provider: Provider
) -> None:
    provider.tokens.rotates = True
    row = setup.add(account_id, provider.gmail, provider.network, actor=ACTOR)
    for _ in range(2):
        provider.tokens.access_tokens.clear()
        assert provider.poll(row).failure is None
    used = [form["refresh_token"] for form in provider.tokens.forms]
    assert used == ["refresh-0", "refresh-1", "refresh-2"]


def test_revoked_access_pauses_the_mailbox_until_new_credentials_are_entered(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.gmail)
    provider.tokens.refresh_tokens = {"refresh-new"}
    result = provider.poll(row)
    assert result.needs_sign_in
    assert "Token has been expired or revoked." in (result.failure or "")
    paused = reload(row)
    assert paused.paused_at is not None
    assert paused.failing_since is not None
    assert polling.poll(row.id, provider.network, is_forced=True) is None
    config = replace(provider.gmail, refresh_token="refresh-new")
    setup.change(paused, config, provider.network, actor=ACTOR)
    assert reload(row).paused_at is None
    assert counts(provider.poll(row)) == PollResult(imported_count=2)


def test_rotating_refresh_token_that_a_test_and_a_poll_use_at_once_stays_valid(
    account_id: UUID, provider: Provider
) -> None:
    provider.tokens.rotates = True
    provider.mails.tokens = provider.tokens.access_tokens
    row = provider.add(account_id, provider.gmail)
    connection = replace(access.connection_of(row, provider.network), context=TRUST)
    both, results = threading.Barrier(2, timeout=10), []

    def wait_once() -> None:
        if provider.tokens.before_refresh is wait_once:
            both.wait()

    def test() -> None:
        results.append(access.test(connection))

    provider.tokens.before_refresh = wait_once
    thread = threading.Thread(target=test)
    thread.start()
    result = provider.poll(row)
    thread.join()
    assert counts(result) == PollResult(imported_count=2)
    assert results == [2]
    assert len(provider.tokens.forms) == 2
    assert reload(row).paused_at is None


def test_failed_test_of_changed_options_keeps_the_rotated_token_of_the_stored_ones(
    account_id: UUID, provider: Provider
) -> None:
    provider.tokens.rotates = True
    row = provider.add(account_id, provider.gmail)
    assert counts(provider.poll(row)) == PollResult(imported_count=2)
    provider.tokens.refresh_tokens.add("refresh-other")
    before = set(provider.tokens.refresh_tokens)
    other = replace(provider.gmail, refresh_token="refresh-other", folder="Missing")
    with pytest.raises(MailboxError):
        setup.change(reload(row), other, provider.network, actor=ACTOR)
    provider.tokens.refresh_tokens |= before
    provider.tokens.access_tokens.clear()
    assert provider.poll(row).failure is None
    provider.tokens.refresh_tokens.add("refresh-other")
    saved = replace(other, folder="INBOX")
    setup.change(reload(row), saved, provider.network, actor=ACTOR)
    assert provider.poll(row).failure is None


def test_token_endpoint_that_asks_to_wait_delays_the_next_poll(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.gmail)
    provider.tokens.error = ({"error": "temporarily_unavailable"}, 503, {"Retry-After": "7200"})
    result = provider.poll(row)
    assert (result.retry_after_seconds, result.needs_sign_in) == (7200, False)
    delayed = reload(row)
    assert delayed.polled_at is not None
    assert delayed.next_at - delayed.polled_at == timedelta(seconds=7200)
    assert delayed.paused_at is None


@pytest.mark.parametrize(
    "body", [{}, {"access_token": ""}, {"access_token": "a b"}, {"access_token": "a\r\nb"}]
)
def test_response_without_a_token_is_a_failure(
    account_id: UUID, provider: Provider, body: dict[str, str]
) -> None:
    row = provider.add(account_id, provider.gmail)
    provider.tokens.error = (body, 200, {})
    result = provider.poll(row)
    assert "no access token" in (result.failure or "")
    assert not result.needs_sign_in
    assert not provider.mails.mechanisms


def test_refusal_that_needs_a_person_pauses_the_mailbox_with_printable_words(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.gmail)
    words = {"error": "interaction_required", "error_description": "Sign in\x1b[2J again."}
    provider.tokens.error = (words, 400, {})
    result = provider.poll(row)
    assert result.needs_sign_in
    assert (result.failure or "").isprintable()
    assert reload(row).paused_at is not None


def test_secrets_are_never_sent_to_another_server(account_id: UUID, provider: Provider) -> None:
    row = provider.add(account_id, provider.gmail)
    without = replace(provider.gmail, client_secret="", refresh_token="")
    changes: list[dict[str, Any]] = [
        {"token_host": "login.evil.test"},
        {"host": "imap.evil.test"},
        {"port": 994},
    ]
    for change in changes:
        with pytest.raises(InvalidRequest, match="Enter it again"):
            mailboxes.change(account_id, row.id, replace(without, **change), actor=ACTOR)
    mailboxes.change(account_id, row.id, replace(without, folder="Reports"), actor=ACTOR)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"client_secret": ""}, "client_secret"),
        ({"sign_in": "person"}, "refresh_token"),
        ({"sign_in": "other"}, "sign_in"),
        ({"tenant": "a/b"}, "tenant"),
        ({"token_host": "a b"}, "token_host"),
    ],
)
def test_invalid_options_are_refused(
    account_id: UUID, provider: Provider, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=field):
        provider.add(account_id, replace(provider.microsoft, **change))


def test_stored_token_of_other_credentials_is_not_used(
    account_id: UUID, provider: Provider
) -> None:
    row = provider.add(account_id, provider.microsoft)
    provider.poll(row)
    config = replace(provider.microsoft, sign_in="person", refresh_token="refresh-0")
    mailboxes.change(account_id, row.id, config, actor=ACTOR)
    with transaction() as session:
        session.execute(update(ReportMailbox).values(polled_at=None))
    provider.poll(row)
    grants = [form["grant_type"] for form in provider.tokens.forms]
    assert grants == ["client_credentials", "refresh_token"]


def test_messages_are_stored_once(account_id: UUID, provider: Provider) -> None:
    row = provider.add(account_id, provider.microsoft)
    provider.poll(row)
    provider.mails.flags.clear()
    provider.poll(row)
    assert len(stored_mails(account_id)) == 2
