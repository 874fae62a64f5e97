"""An owner deletes the account with its name and the current password."""

from flask import Flask
from sqlalchemy import select

from app import ids
from app.db.transactions import transaction
from app.models import Account
from app.services.accounts import accounts, deletion
from app.services.domains import domains
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser
from tests.support.factories import make_domain

PATH = "/settings/account"


def name_of(browser: Browser) -> str:
    return accounts.find(ids.public("acc", browser.account_id)).name


def test_account_page_lists_the_deleted_data(browser: Browser) -> None:
    page = browser.get(PATH)
    assert f"Type {name_of(browser)} to confirm" in page
    for word in ("domains", "reports", "API keys", "audit log", "team"):
        assert word in page


def test_deletion_requires_the_name_and_the_password(browser: Browser) -> None:
    name = name_of(browser)
    wrong: tuple[dict[str, str], ...] = (
        {"name": name, "current": "x" * 12},
        {"name": "else", "current": PASSWORD},
        {},
    )
    for form in wrong:
        response = browser.post(f"{PATH}/delete", **form)
        assert response.status_code == 400
        assert 'class="error"' in response.text
    assert browser.get("/domains")


def test_deletion_signs_out_all_users_and_deletes_the_account(app: Flask, browser: Browser) -> None:
    name = name_of(browser)
    other = make_browser(app, "bob@acme.test", account=accounts.find(name))
    other.sign_in()
    response = browser.post(f"{PATH}/delete", name=name, current=PASSWORD)
    assert (response.status_code, response.headers["Location"]) == (303, "/auth/login")
    for user in (browser, other):
        assert user.client.get("/domains").status_code == 303
    assert other.sign_in().status_code == 400
    assert deletion.delete_requested() == 1
    with transaction(readonly=True) as session:
        assert session.get(Account, browser.account_id) is None
        assert not session.scalars(select(Account.name).where(Account.name == name)).all()


def test_account_with_a_domain_on_legal_hold_is_not_deleted(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    domains.hold(browser.account_id, "acme.test", "case 12", actor="test")
    response = browser.post(f"{PATH}/delete", name=name_of(browser), current=PASSWORD)
    assert response.status_code == 409
    assert "acme.test" in response.text


def test_only_owners_see_the_deletion_form(app: Flask, browser: Browser) -> None:
    account = accounts.find(name_of(browser))
    admin = make_browser(app, "adam@acme.test", role="admin", account=account)
    admin.sign_in()
    assert "Delete account…" not in admin.get(PATH)
    assert admin.post(f"{PATH}/delete", name=account.name, current=PASSWORD).status_code == 403
