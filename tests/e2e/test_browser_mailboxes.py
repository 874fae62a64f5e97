"""Every type of mailbox in a real browser: added by its form, and its connection tested."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.engine import Engine
from werkzeug.serving import make_server

from app.mailboxes.config import MailboxConfig
from app.mailboxes.imap_oauth import ImapGmailConfig, ImapMicrosoftConfig
from app.mailboxes.registry import MAILBOX_TYPES
from app.network.session import LiveNetwork
from app.options.fields import Option, default_of
from app.services.mailboxes import mailboxes
from app.settings import Settings
from devtools.processes import free_port
from tests.e2e.browser import Person, open_person
from tests.support import imap_server, pop3_mailboxes, pop3_server, s3_mailboxes, token_server
from tests.support import web_mailboxes as web
from tests.support.factories import make_app
from tests.support.report_mailboxes import AUTHORITY, mail, pulled_from
from tests.support.s3_server import ENDPOINT, Bucket
from tests.support.token_server import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.e2e
HOST, TOKEN_HOST = "mail.provider.test", "login.provider.test"
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Server:
    """A mailbox at a server on loopback, and the ports of its hosts."""

    config: MailboxConfig
    ports: dict[str, int]


@contextmanager
def imap(directory: Path, patch: Patch) -> Iterator[Server]:
    patch.setenv("SSL_CERT_FILE", token_server.trust(AUTHORITY, directory))
    with pulled_from(imap_server.numbered([mail(1)]), HOST) as access:
        yield Server(replace(access, host=HOST), {HOST: access.port or 0})


@contextmanager
def imap_oauth(type: Any, directory: Path, patch: Patch, **options: str) -> Iterator[Server]:
    patch.setenv("SSL_CERT_FILE", token_server.trust(AUTHORITY, directory))
    mails = imap_server.numbered([mail(1)])
    with (
        token_server.serving(AUTHORITY, TOKEN_HOST) as tokens,
        pulled_from(mails, HOST) as access,
    ):
        mails.tokens = tokens.access_tokens
        config = type(
            host=HOST,
            port=access.port,
            token_host=TOKEN_HOST,
            username=access.username,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            **options,
        )
        yield Server(config, {HOST: access.port or 0, TOKEN_HOST: tokens.port})


@contextmanager
def pop3(_: Path, __: Patch) -> Iterator[Server]:
    with pop3_mailboxes.served(pop3_server.numbered([mail(1)]), HOST) as config:
        yield Server(replace(config, host=HOST), {HOST: config.port or 0})


@contextmanager
def s3(_: Path, __: Patch) -> Iterator[Server]:
    with s3_mailboxes.served(Bucket({"a": mail(1)}), addressing="path") as config:
        yield Server(config, {ENDPOINT: config.port or 0})


@contextmanager
def web_api(provider: web.Provider, directory: Path, patch: Patch) -> Iterator[Server]:
    with web.serving(provider, directory, patch):
        ports = dict.fromkeys(provider.server.hosts, provider.server.port)
        yield Server(provider.config(), ports)


SERVERS: dict[str, Callable[[Path, Patch], Any]] = {
    "imap": imap,
    "graph": lambda *more: web_api(web.Graph([mail(1)]), *more),
    "gmail": lambda *more: web_api(web.Gmail([mail(1)]), *more),
    "imap_microsoft": lambda *more: imap_oauth(ImapMicrosoftConfig, *more, tenant="acme.test"),
    "imap_gmail": lambda *more: imap_oauth(ImapGmailConfig, *more, refresh_token="refresh-0"),
    "pop3": pop3,
    "s3": s3,
}


@dataclass(frozen=True)
class Site:
    """The dashboard in this process."""

    port: int


@contextmanager
def site(database: Engine, settings: Settings, server: Server) -> Iterator[Site]:
    """Serve the dashboard, whose network reaches the mailbox server."""
    port = free_port(0)
    connect_to = tuple((host, "127.0.0.1", number) for host, number in server.ports.items())
    settings = settings.replace(
        base_url=f"http://127.0.0.1:{port}",
        egress_connect_to=connect_to,
        dns_nameservers=(("127.0.0.1", 1),),
    )
    app = make_app(database, settings)
    app.extensions["network"] = LiveNetwork(settings)
    http = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield Site(port)
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def fill(page: Page, config: MailboxConfig, texts: dict[str, str]) -> None:
    """Enter the values that are not the defaults of the form."""
    advanced = page.get_by_text("Advanced options")
    if advanced.count() and not page.locator("details.more").get_attribute("open"):
        advanced.click()
    for name, item in config.fields().items():
        option: Option = config.options()[name]
        value = texts.get(name, getattr(config, name))
        if value in ("", None) or (value == default_of(item) and not option.is_secret):
            continue
        field = page.get_by_label(option.title, exact=True)
        if option.choices is not None:
            field.select_option(str(value))
        else:
            field.fill(str(value))


def test_every_type_has_a_server() -> None:
    types = {name for name, config in MAILBOX_TYPES.items() if not config.is_operator_only}
    assert types == set(SERVERS)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("type", SERVERS)
def test_mailbox_is_added_by_its_form_after_its_connection_was_tested(
    chromium: Browser,
    database: Engine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    type: str,
) -> None:
    with ExitStack() as stack:
        servers = stack.enter_context(ExitStack())
        server = servers.enter_context(SERVERS[type](tmp_path, monkeypatch))
        person = open_person(
            chromium, cast("Any", stack.enter_context(site(database, settings, server)))
        )
        stack.callback(person.context.close)
        person.sign_in()
        page = add(person, server.config)
        page.get_by_role("button", name="Test connection").click()
        expect(page.get_by_role("status")).to_contain_text("The connection test passed")
        servers.close()
        page.get_by_role("button", name="Test connection").click()
        expect(page.get_by_role("alert")).to_contain_text("The connection test failed: ")


def add(person: Person, config: MailboxConfig) -> Page:
    """Add the mailbox, first with a wrong secret, and return its page."""
    page = person.go("/settings/mailboxes")
    page.locator(f"a[href$='/new/{config.type}']").click()
    expect(page.get_by_role("button", name="Test and add mailbox")).to_be_visible()
    wrong = next(name for name, option in config.options().items() if option.is_secret)
    fill(page, config, {wrong: "wrong secret"})
    page.get_by_role("button", name="Test and add mailbox").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection test failed: ")
    assert mailboxes.search(person.account_id) == []
    fill(page, config, {})
    page.get_by_role("button", name="Test and add mailbox").click()
    expect(page.get_by_role("status")).to_contain_text("the mailbox was added")
    person.problems.clear()  # Chromium notes the status 400 of the first attempt
    person.assert_no_problems()
    (row,) = mailboxes.search(person.account_id)
    assert row.type == config.type
    return page
