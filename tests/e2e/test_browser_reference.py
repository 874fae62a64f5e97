"""The API reference in a real browser: search, samples and copying.

The tests of all pages check its layout and accessibility.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Person, open_browser
from tests.e2e.service import Service
from tests.support import mcp_service
from tests.support.factories import make_account

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

SHAPES = [(1280, "light"), (390, "dark")]


@pytest.fixture
def web(app: Flask) -> Iterator[Service]:
    """The application alone: the page needs no worker."""
    with mcp_service.serving(app) as url:
        yield cast(Service, SimpleNamespace(port=urlsplit(url).port))


@pytest.fixture
def reader(chromium: Browser, web: Service, request: pytest.FixtureRequest) -> Iterator[Person]:
    """A browser without a session, at the API reference."""
    width, scheme = getattr(request, "param", SHAPES[0])
    viewport = {"width": width, "height": 900}
    account = make_account()
    person = open_browser(chromium, web, account.id, "", viewport=viewport, color_scheme=scheme)
    person.go("/docs")
    yield person
    person.context.close()


def operations(page: Page) -> list[str]:
    """The operations that the navigation shows."""
    return page.locator("nav .operation:visible a").all_inner_texts()


@pytest.mark.parametrize("reader", SHAPES, indirect=True)
def test_search_shows_only_operations_with_all_words(reader: Person) -> None:
    page = reader.page
    if page.viewport_size == {"width": 390, "height": 900}:
        page.get_by_text("Contents").click()  # the list is closed in a narrow window
    everything = len(operations(page))
    assert everything > 50
    page.get_by_label("Search operations").fill("get ALERTS")
    shown = operations(page)
    assert 0 < len(shown) < everything
    assert all("GET" in text for text in shown)
    expect(page.get_by_role("status")).to_have_text(f"{len(shown)} of {everything} operations")
    page.get_by_label("Search operations").fill("no such operation")
    assert operations(page) == []
    expect(page.get_by_role("status")).to_have_text(f"0 of {everything} operations")
    page.get_by_label("Search operations").fill("")
    assert len(operations(page)) == everything
    assert reader.problems == []


def test_search_leads_to_the_first_match_with_the_keyboard(reader: Person) -> None:
    page = reader.page
    page.keyboard.press("/")
    expect(page.get_by_label("Search operations")).to_be_focused()
    page.keyboard.type("/v1/me")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs#me_get")
    expect(page.locator("#me_get")).to_be_in_viewport()


def test_samples_are_shown_in_one_language_for_the_whole_page(reader: Person) -> None:
    page = reader.page
    first, other = page.locator("#domains_list"), page.locator("#alerts_get")
    for language, part in (
        ("Python", "import httpx"),
        ("JavaScript", "await fetch("),
        ("curl", "curl"),
    ):
        first.get_by_role("button", name=language, exact=True).click()
        for article in (first, other):
            expect(article.locator(".sample:visible")).to_have_count(1)
            expect(article.locator(".sample:visible pre")).to_contain_text(part)
            pressed = article.locator('.tabs [aria-pressed="true"]')
            expect(pressed).to_have_text([language])
    assert reader.problems == []


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_copy_button_copies_the_sample(reader: Person, language: str) -> None:
    page = reader.page
    article = page.locator("#domains_list")
    article.get_by_role("button", name=language, exact=True).click()
    button = page.get_by_role("button", name=f"Copy: {language} for GET /v1/domains", exact=True)
    button.click()
    expect(button).to_have_text("Copied")
    assert reader.copied() == article.locator(".sample:visible pre").text_content()
    assert "/v1/domains" in reader.copied()
    assert reader.problems == []
