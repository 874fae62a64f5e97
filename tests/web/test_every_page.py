"""Rules for every page: a session, CSRF tokens, security headers and error pages."""

import re

import pytest
from flask import Flask

from app.web.base import pages
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import PAGES, routes


def test_every_page_except_login_requires_a_session(app: Flask) -> None:
    closed = [route for route in routes(app) if route[2] not in pages.PUBLIC]
    assert len(closed) >= 12
    for method, path, _ in closed:
        response = app.test_client().open(path, method=method)
        assert response.status_code == 303, f"{method} {path}"
        assert response.headers["Location"].startswith("/auth/login"), f"{method} {path}"


def test_every_form_requires_the_csrf_token_of_its_session(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    for method, path, endpoint in routes(app):
        if method != "POST" or endpoint in pages.PUBLIC:
            continue
        for csrf in ("", "0" * 64, "é", stranger.csrf()):
            response = browser.client.post(path, data={"csrf": csrf})
            assert response.status_code == 400, path
            assert "Your session changed" in response.text
    assert "Add domain" in browser.get("/domains")


def test_form_from_another_site_is_refused_even_with_the_token(browser: Browser) -> None:
    form = {"csrf": browser.csrf(), "name": "acme.test", "usage": "sends-only"}
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert browser.client.post("/domains", data=form, headers=headers).status_code == 400


def test_get_requests_change_nothing(app: Flask) -> None:
    assert [path for method, path, _ in routes(app) if method not in ("GET", "POST")] == []


def test_every_page_has_the_security_headers(browser: Browser) -> None:
    for path in (*PAGES, "/auth/login", "/", "/domains/none.test", "/assets/app.js"):
        with browser.client.get(path) as response:  # the style sheet is an open file
            headers = response.headers
        for name, value in pages.HEADERS.items():
            assert headers[name] == value, path
        if not path.startswith("/assets"):
            assert headers["Cache-Control"] == "no-store", path
        assert headers["X-RateLimit-Limit"].isdigit(), path
        assert "Strict-Transport-Security" not in headers


def test_settings_redirect_to_their_first_page(browser: Browser) -> None:
    response = browser.client.get("/settings")
    assert (response.status_code, response.headers["Location"]) == (303, "/settings/keys")
    assert "Create API Key" in browser.get("/settings/keys")


def test_page_over_tls_has_hsts(app: Flask) -> None:
    response = app.test_client().get("/auth/login", base_url="https://watch.test")
    assert response.headers["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.parametrize("path", [*PAGES, "/auth/login"])
def test_pages_have_no_inline_code_and_no_external_resources(
    app: Flask, browser: Browser, path: str
) -> None:
    client = browser.client if path != "/auth/login" else app.test_client()
    page = client.get(path).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    scripts = re.findall(r"<script(.*?)>(.*?)</script>", page, re.DOTALL)
    assert scripts
    assert all('src="/assets/' in attributes and not code for attributes, code in scripts)
    assert not re.search(r'(src|href|action)="(https?:)?//', page)


def test_not_found_is_html_for_browsers_and_json_below_v1(browser: Browser) -> None:
    html = {"Accept": "text/html,*/*;q=0.8"}
    page = browser.client.get("/nothing", headers=html)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert page.headers["Content-Security-Policy"] == pages.HEADERS["Content-Security-Policy"]
    assert browser.client.get("/v1/nothing", headers=html).mimetype == "application/json"
    assert browser.client.get("/nothing").mimetype == "application/json"


def test_error_page_hides_the_exception(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("app.services.alerts.alert_lists.page", broken)
    response = browser.client.get("/alerts")
    assert (response.status_code, response.mimetype) == (500, "text/html")
    assert "secret" not in response.text


def test_form_with_nul_is_refused(browser: Browser) -> None:
    assert browser.post("/domains", name="a\0.test", usage="sends-only").status_code == 400


def test_static_files_are_cached_under_a_versioned_url(browser: Browser) -> None:
    match = re.search(r'href="(/assets/style\.css\?v=[0-9a-f]{12})"', browser.get("/domains"))
    assert match is not None
    with browser.client.get(match[1]) as response:
        assert "immutable" in response.headers["Cache-Control"]
