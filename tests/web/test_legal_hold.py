"""A domain on legal hold: placed and released on its page, and not deletable."""

from flask import Flask

from app import ids
from app.services.accounts import accounts
from app.services.core import domain_lookup
from app.services.domains import domains
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import make_domain, make_key

PATH = "/domains/acme.test"


def is_held(browser: Browser) -> bool:
    return domain_lookup.find(browser.account_id, "acme.test").legal_hold_at is not None


def test_a_hold_is_placed_and_released_by_an_admin(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    assert "Place hold" in browser.get(f"{PATH}/settings")
    assert browser.post(f"{PATH}/hold", reason="case 12").status_code == 303
    page = browser.get(f"{PATH}/settings")
    assert "case 12" in page
    assert f"{PATH}/delete" not in page
    assert is_held(browser)
    assert browser.post(f"{PATH}/release").status_code == 303
    assert not is_held(browser)


def test_a_hold_needs_a_reason(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    assert browser.post(f"{PATH}/hold", reason=" ").status_code == 400
    assert not is_held(browser)


def test_a_held_domain_is_not_deleted_by_a_form_or_the_api(app: Flask, browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    domains.hold(browser.account_id, "acme.test", "case 12", actor="test")
    response = browser.post(f"{PATH}/delete", confirm="acme.test")
    assert response.status_code == 409
    assert "legal hold" in response.text
    _, token = make_key(browser.account_id)
    headers = {"Authorization": f"Bearer {token}"}
    answer = app.test_client().delete("/v1/domains/acme.test", headers=headers)
    assert answer.status_code == 409
    assert answer.get_json()["error"]["code"] == "conflict"
    assert "legal hold" in answer.get_json()["error"]["message"]
    assert is_held(browser)


def test_a_member_sees_the_hold_and_cannot_release_it(app: Flask, browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    domains.hold(browser.account_id, "acme.test", "case 12", actor="test")
    account = accounts.find(ids.public("acc", browser.account_id))
    member = make_browser(app, "mia@acme.test", role="member", account=account)
    member.sign_in()
    assert "case 12" in member.get(f"{PATH}/settings")
    assert member.post(f"{PATH}/release").status_code == 403
