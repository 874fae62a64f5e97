"""Mailboxes in the dashboard, against a real IMAP server."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app import ids
from app.db.transactions import transaction
from app.mailboxes import registry
from app.models import AuditEvent, ReportMailbox
from app.services.accounts import accounts
from app.services.mailboxes import mailboxes, polling, setup
from tests.support import imap_server as imap
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import ACTOR
from tests.support.receivers import LoopbackNetwork
from tests.support.report_mailboxes import ACCESS, AUTHORITY, mail, pulled_from, reload
from tests.support.zones import Zone

PAGE = "/settings/mailboxes"
HOST = "imap.acme.test"
NETWORK = LoopbackNetwork(
    Zone({(HOST, "A"): ["127.0.0.1"], ("internal.acme.test", "A"): ["10.0.0.1"]})
)


@pytest.fixture
def mails() -> imap.Mails:
    mails = imap.numbered([mail(1), mail(2)])
    mails.folders = set()
    return mails


@pytest.fixture
def form(app: Flask, mails: imap.Mails) -> Iterator[dict[str, Any]]:
    """The fields of the form for a server on loopback."""
    app.extensions["network"] = NETWORK
    with pulled_from(mails, HOST) as access:
        yield {
            "host": HOST,
            "port": str(access.port),
            "security": "tls",
            "username": access.username,
            "password": access.password,
            "folder": "INBOX",
            "done_folder": "",
            "missing_folder": "fail",
            "messages": "unread",
            "ca_certificates": AUTHORITY.cert_pem.bytes().decode().replace("\n", "\r\n"),
        }


def title_of(row: ReportMailbox) -> str:
    """The name of the mailbox on its page."""
    return registry.stored(row.type, row.options, {}).title


def add(browser: Browser, form: dict[str, Any]) -> ReportMailbox:
    response = browser.post(f"{PAGE}/new/imap", **form)
    assert response.status_code == 303, response.text
    [row] = mailboxes.search(browser.account_id)
    assert ids.public("mbx", row.id) in response.headers["Location"]
    return row


def path(row: ReportMailbox) -> str:
    return f"{PAGE}/{ids.public('mbx', row.id)}"


def test_mailbox_is_added_polled_and_shown_without_its_password(
    browser: Browser, form: dict[str, Any], mails: imap.Mails
) -> None:
    mails.refusals[("FETCH", 2)] = "NO <b>damaged</b>"
    row = add(browser, form)
    assert not row.is_private
    assert not mails.flags
    result = polling.poll(row.id, NETWORK, is_forced=True)
    assert result is not None
    assert (result.imported_count, result.failure) == (1, None)
    page = browser.get(path(row))
    assert "&lt;b&gt;damaged&lt;/b&gt;" in page
    for text in (page, browser.get(PAGE), browser.get("/settings/audit")):
        assert imap.PASSWORD not in text
        assert row.secrets_encrypted not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "The connection test failed: wrong password"),
        ({"folder": "Nowhere"}, "folder Nowhere cannot be opened: such folder"),
        ({"done_folder": "Done"}, "folder Done cannot be used: [NONEXISTENT] no folder"),
        ({"ca_certificates": ""}, "certificate"),
        ({"host": "internal.acme.test"}, "is not a host name with public addresses"),
        ({"host": "127.0.0.1"}, "is not a host name with public addresses"),
        ({"host": "a b"}, 'id="error-host"'),
        ({"port": "0"}, "Enter a number from 1 to 65535"),
        ({"port": "x"}, "Enter a number from 1 to 65535"),
        ({"security": "none"}, "Choose one of"),
        ({"password": ""}, 'id="error-password"'),
        ({"messages": "all"}, "Enter a folder for imported emails"),
        ({"ca_certificates": "x"}, "Enter certificates in PEM format"),
    ],
)
def test_refused_mailbox_is_not_added_and_the_form_says_why(
    browser: Browser, form: dict[str, Any], change: dict[str, str], words: str
) -> None:
    response = browser.post(f"{PAGE}/new/imap", **{**form, **change})
    assert response.status_code == 400
    assert words in response.text
    assert imap.PASSWORD not in response.text
    assert mailboxes.search(browser.account_id) == []


def test_missing_folder_is_created_on_request(
    browser: Browser, form: dict[str, Any], mails: imap.Mails
) -> None:
    add(browser, {**form, "done_folder": "Erledigt ü", "missing_folder": "create"})
    assert mails.folders == {"Erledigt &APw-"}
    assert "Erledigt ü" in browser.get(PAGE + "/" + browser_id(browser))


def browser_id(browser: Browser) -> str:
    [row] = mailboxes.search(browser.account_id)
    return ids.public("mbx", row.id)


def test_mailbox_is_edited_with_the_stored_password(
    browser: Browser, form: dict[str, Any], mails: imap.Mails
) -> None:
    row = add(browser, form)
    mails.folder = "Reports"
    changed = {**form, "folder": "Reports", "password": ""}
    assert browser.post(path(row), **changed).status_code == 303
    assert (reload(row).options["folder"], reload(row).is_private) == ("Reports", False)
    other = browser.post(path(row), **{**changed, "username": "other"})
    assert other.status_code == 400
    assert "Enter it again, because this has changed: User name" in other.text
    refused = browser.post(path(row), **{**changed, "password": "wrong"})
    assert "The connection test failed: wrong password" in refused.text
    assert reload(row).options == {**row.options, "folder": "Reports"}


def test_mailbox_of_an_operator_stays_at_its_private_server(
    browser: Browser, form: dict[str, Any]
) -> None:
    access = replace(
        ACCESS, host=HOST, port=int(form["port"]), ca_certificates=form["ca_certificates"]
    )
    row = mailboxes.add(browser.account_id, access, actor=ACTOR, is_private=True)
    assert mailboxes.has_private_server(row, access)
    moved = {**form, "host": "internal.acme.test"}
    response = browser.post(path(row), **moved)
    assert "is not a host name with public addresses" in response.text
    assert (reload(row).options["host"], reload(row).is_private) == (HOST, True)


def test_connection_is_tested_and_the_mailbox_paused_resumed_and_deleted(
    browser: Browser, form: dict[str, Any], mails: imap.Mails
) -> None:
    row = add(browser, form)
    tested = browser.post(f"{path(row)}/test")
    assert "The connection test passed" in browser.get(tested.headers["Location"])
    mails.password = "new"
    failed = browser.post(f"{path(row)}/test")
    assert "The connection test failed: wrong password" in failed.text
    browser.post(f"{path(row)}/pause")
    assert re.search(r'class="mark paused"', browser.get(PAGE))
    assert reload(row).paused_at is not None
    browser.post(f"{path(row)}/resume")
    assert reload(row).paused_at is None
    assert browser.post(f"{path(row)}/remove", confirm=title_of(row)).status_code == 303
    assert "No mailboxes yet" in browser.get(PAGE)
    with transaction(readonly=True) as session:
        rows = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    events = [event.action for event in rows if event.action.startswith("mailbox.")]
    assert events == [
        *("mailbox.added", "mailbox.paused", "mailbox.resumed", "mailbox.removed"),
    ]


def test_another_account_and_unknown_ids_are_not_found(
    browser: Browser, stranger: Browser, form: dict[str, Any]
) -> None:
    row = add(browser, form)
    unknown = f"{PAGE}/{ids.public('mbx', ids.new())}"
    for page in (path(row), unknown, f"{PAGE}/x"):
        assert stranger.client.get(page).status_code == 404
        for action in ("", "/test", "/pause", "/resume", "/remove"):
            assert stranger.post(page + action, **form).status_code == 404, action
    assert reload(row).paused_at is None


def test_viewer_sees_the_status_and_no_forms(
    app: Flask, browser: Browser, form: dict[str, Any]
) -> None:
    row = add(browser, form)
    account = accounts.find(ids.public("acc", browser.account_id))
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    for page in (PAGE, path(row)):
        text = viewer.get(page)
        assert HOST in text
        assert 'name="password"' not in text
        assert form["username"] not in text
    assert viewer.post(f"{PAGE}/new/imap", **form).status_code == 403


def test_few_tests_run_at_the_same_time(browser: Browser, form: dict[str, Any]) -> None:
    with ExitStack() as stack:
        for _ in range(setup.MAX_TESTS):
            stack.enter_context(setup.slot())
        response = browser.post(f"{PAGE}/new/imap", **form)
    assert response.status_code == 503
    assert "Other mailboxes are being tested" in response.text
    add(browser, form)
