"""Forms that are sent after the session has ended: what was entered is filled in again."""

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.db import transactions
from app.db.transactions import transaction
from app.models import BrowserSession, StoredFormDraft
from app.services.core import domain_lookup
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.sign_in import form_drafts
from app.services.sign_in.form_drafts import FormDraft
from app.web.access import drafts
from tests.support.dashboard_browser import PASSWORD, Browser
from tests.support.dashboard_pages import PAGES
from tests.support.factories import ACTOR
from tests.support.people import code_of, colleague, turn_on

SETTINGS = "/domains/acme.test/settings"
ENTERED = {
    "usage": "sends-only",
    "schedule": "weekly",
    "tags": 'shop, "quoted" <b>',
    "selectors": "own1 own2",
}
RESTORED = "Nothing was saved yet"


@pytest.fixture
def browser(browser: Browser) -> Browser:
    domains.create(browser.account_id, NewDomain("acme.test"), actor=ACTOR)
    return browser


class SecretFields(HTMLParser):
    """The names of the secret fields of a page, and of those that confirm a deletion."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_secret = values.get("type") == "password" or values.get("name") == "confirm"
        if is_secret or values.get("autocomplete") == "one-time-code":
            self.names.add(values.get("name") or "")


def csrf_of(browser: Browser, path: str = SETTINGS) -> str:
    match = re.search(r'name="csrf" value="([\w.-]+)"', browser.get(path))
    assert match is not None
    return match[1]


def end_session() -> None:
    """Let every session expire, as after twelve hours without a request."""
    with transaction() as session:
        past = transactions.now(session) - timedelta(hours=13)
        session.execute(update(BrowserSession).values(last_seen_at=past))


def lose(browser: Browser, path: str, page: str = SETTINGS, **form: Any) -> str:
    """Send a form after the session has ended; return the path of the login page."""
    csrf = csrf_of(browser, page)
    end_session()
    response = browser.client.post(path, data={"csrf": csrf, **form})
    assert response.status_code == 303
    location = response.headers["Location"]
    assert location.startswith("/auth/login?next=")
    return location


def sign_in_at(browser: Browser, login: str) -> str:
    """Sign in at the login page; return the path that it leads to."""
    page = unescape(browser.get(login))
    following = re.search(r'name="next" value="([^"]*)"', page)
    assert following is not None
    form = {"email": browser.user.email, "password": PASSWORD, "next": following[1]}
    location: str = browser.client.post("/auth/login", data=form).headers["Location"]
    return location


def stored() -> list[StoredFormDraft]:
    with transaction() as session:
        return list(session.scalars(select(StoredFormDraft)))


def test_entered_values_are_in_the_form_again_after_signing_in(browser: Browser) -> None:
    login = lose(browser, SETTINGS, **ENTERED)
    message = "Your session has ended, so nothing was saved. Sign in to continue."
    assert message in browser.get(login)
    location = sign_in_at(browser, login)
    assert location.startswith(f"{SETTINGS}?draft=")
    page = browser.get(location)
    assert RESTORED in page
    assert '<option selected value="weekly">' in page or 'value="weekly" selected>' in page
    assert 'value="shop, &quot;quoted&quot; &lt;b&gt;"' in page
    assert 'value="own1 own2"' in page
    assert domain_lookup.find(browser.account_id, "acme.test").schedule == "daily"


def test_form_can_be_sent_after_it_was_filled_in_again(browser: Browser) -> None:
    location = sign_in_at(browser, lose(browser, SETTINGS, **ENTERED))
    form = {**ENTERED, "csrf": csrf_of(browser, location)}
    assert browser.client.post(SETTINGS, data=form).status_code == 303
    domain = domain_lookup.find(browser.account_id, "acme.test")
    assert (domain.schedule, domain.dkim_selectors) == ("weekly", ("own1", "own2"))


def test_entered_values_are_filled_in_once(browser: Browser) -> None:
    location = sign_in_at(browser, lose(browser, SETTINGS, **ENTERED))
    assert RESTORED in browser.get(location)
    again = browser.get(location)
    assert "no longer stored" in again
    assert "own1 own2" not in again
    assert stored() == []


def test_second_factor_keeps_the_entered_values(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    login = lose(browser, SETTINGS, **ENTERED)
    after_password = sign_in_at(browser, login)
    assert after_password.startswith("/auth/code?next=")
    following = re.search(r'name="next" value="([^"]*)"', unescape(browser.get(after_password)))
    assert following is not None
    form = {"code": code_of(secret), "next": following[1]}
    location = browser.client.post("/auth/code", data=form).headers["Location"]
    assert "own1 own2" in browser.get(location)


def test_session_that_was_replaced_in_another_tab_keeps_the_entered_values(
    browser: Browser,
) -> None:
    csrf = csrf_of(browser)
    browser.client.delete_cookie("session")
    browser.sign_in()
    response = browser.client.post(SETTINGS, data={"csrf": csrf, **ENTERED})
    assert response.status_code == 303
    assert "own1 own2" in browser.get(response.headers["Location"])
    assert domain_lookup.find(browser.account_id, "acme.test").schedule == "daily"


def test_another_user_does_not_get_the_entered_values(app: Flask, browser: Browser) -> None:
    other = colleague(app, browser, "owner")
    login = lose(browser, SETTINGS, **ENTERED)
    page = other.get(sign_in_at(other, login))
    assert "own1 own2" not in page
    assert "no longer stored" in page
    assert len(stored()) == 1  # the user who entered them still gets them
    assert "own1 own2" in browser.get(sign_in_at(browser, login))


def test_values_are_not_stored_for_a_form_of_another_user(
    browser: Browser, stranger: Browser
) -> None:
    csrf = csrf_of(stranger, "/domains")
    response = browser.client.post(SETTINGS, data={"csrf": csrf, **ENTERED})
    assert response.status_code == 400
    forged = csrf[:-1] + ("0" if csrf[-1] != "0" else "1")
    end_session()
    response = browser.client.post(SETTINGS, data={"csrf": forged, **ENTERED})
    assert response.headers["Location"] == "/auth/login"
    assert stored() == []


def test_entered_values_are_stored_encrypted_and_for_an_hour(browser: Browser) -> None:
    login = lose(browser, SETTINGS, **ENTERED)
    [row] = stored()
    assert "own1" not in row.text_encrypted
    with transaction() as session:
        past = transactions.now(session) - timedelta(seconds=1)
        session.execute(update(StoredFormDraft).values(expires_at=past))
    assert "no longer stored" in browser.get(sign_in_at(browser, login))


def test_number_of_stored_forms_of_a_user_is_bounded(browser: Browser) -> None:
    ids = [
        form_drafts.keep(browser.user.id, FormDraft("/", "/", [("name", str(number))]))
        for number in range(form_drafts.MAX_DRAFTS + 3)
    ]
    assert len(stored()) == form_drafts.MAX_DRAFTS
    assert form_drafts.take(browser.user.id, ids[-1] or "") is not None


def test_values_above_the_limit_are_not_stored(browser: Browser) -> None:
    location = lose(browser, SETTINGS, tags="x" * (drafts.MAX_CHARACTERS + 1))
    assert location == f"/auth/login?next={SETTINGS}"
    assert stored() == []


def test_password_is_never_stored(browser: Browser) -> None:
    form = {"current": PASSWORD, "password": "another long password", "again": "another"}
    lose(browser, "/settings/security/password", "/settings/security", **form)
    assert stored() == []


@pytest.mark.parametrize("path", PAGES)
def test_secret_fields_of_every_page_are_excluded(browser: Browser, path: str) -> None:
    parser = SecretFields()
    parser.feed(browser.get(path))
    assert parser.names <= drafts.SECRETS


def test_error_page_of_a_form_leads_back_to_the_page_with_the_form(browser: Browser) -> None:
    csrf = csrf_of(browser, "/domains?add=1&tag=shop")
    form = {"csrf": csrf, "name": "not a domain", "usage": "sends-only"}
    refused = browser.client.post("/domains", data=form)
    assert refused.status_code == 400
    again = re.search(r'name="csrf" value="([\w.-]+)"', refused.text)
    assert again is not None
    end_session()
    response = browser.client.post("/domains", data={**form, "csrf": again[1]})
    location = sign_in_at(browser, response.headers["Location"])
    assert location.startswith("/domains?add=1&tag=shop&draft=")
    assert 'value="not a domain"' in browser.get(location)


def test_signing_out_without_a_session_is_no_lost_form(browser: Browser) -> None:
    csrf = csrf_of(browser)
    end_session()
    response = browser.client.post("/auth/logout", data={"csrf": csrf})
    assert "You are signed out." in browser.get(response.headers["Location"])


def test_page_of_another_site_is_never_the_page_of_a_form(browser: Browser) -> None:
    page = browser.client.get("//evil.test/").text
    match = re.search(r'name="csrf" value="([\w.-]+)"', page)
    if match is None:
        return  # such a path has no page with a form
    browser.client.delete_cookie("session")
    browser.sign_in()
    response = browser.client.post(SETTINGS, data={"csrf": match[1], **ENTERED})
    assert not response.headers.get("Location", "/").startswith("//")
