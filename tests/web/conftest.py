"""Browsers of users at the dashboard, who load its pages and send its forms."""

import pytest
from argon2 import PasswordHasher
from flask import Flask

from app.services.sign_in import passwords
from tests.support.dashboard_browser import Browser, make_browser

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make password hashes cheap: with real ones these tests take minutes."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)


@pytest.fixture
def signed_out(app: Flask) -> Browser:
    """The browser of a user who has not signed in."""
    return make_browser(app, "ann@acme.test")


@pytest.fixture
def browser(signed_out: Browser) -> Browser:
    """The browser of a signed-in user."""
    assert signed_out.sign_in().status_code == 303
    return signed_out


@pytest.fixture
def stranger(app: Flask) -> Browser:
    """The browser of a signed-in user of another account."""
    browser = make_browser(app, "eve@other.test")
    browser.sign_in()
    return browser
