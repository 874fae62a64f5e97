"""Browsers of users at the dashboard, who load its pages and send its forms."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models.accounts import User
from app.services.accounts import accounts, passwords
from tests.api.conftest import app, zone
from tests.support.factories import make_account

__all__ = ["app", "zone"]

PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Browser:
    """The browser of a user at the dashboard."""

    client: FlaskClient
    user: User
    account_id: UUID

    def get(self, path: str, status: int = 200) -> str:
        """Load the page, and check its status."""
        response = self.client.get(path)
        assert response.status_code == status, response.text
        return response.text

    def csrf(self) -> str:
        """The token of this session's forms."""
        match = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/domains"))
        assert match is not None
        return match[1]

    def post(self, path: str, **form: Any) -> TestResponse:
        """Send a form with the CSRF token."""
        return self.client.post(path, data={"csrf": self.csrf(), **form})

    def sign_in(self, password: str = PASSWORD, **options: Any) -> TestResponse:
        """Send the form of the login page."""
        form = {"email": self.user.email, "password": password}
        return self.client.post("/auth/login", data=form, **options)


def make_browser(app: Flask, email: str, role: str = "owner", account: Any = None) -> Browser:
    """The browser of a new user, not signed in."""
    account = account or make_account()
    user, _ = accounts.add_user(account.name, email, role=role, password=PASSWORD)
    return Browser(app.test_client(), user, account.id)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make password hashes cheap: with real ones these tests take minutes."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)


@pytest.fixture
def visitor(app: Flask) -> Browser:
    """The browser of a user who has not signed in."""
    return make_browser(app, "ann@acme.test")


@pytest.fixture
def browser(visitor: Browser) -> Browser:
    """The browser of a signed-in user."""
    assert visitor.sign_in().status_code == 303
    return visitor


@pytest.fixture
def stranger(app: Flask) -> Browser:
    """The browser of a signed-in user of another account."""
    browser = make_browser(app, "eve@other.test")
    browser.sign_in()
    return browser
