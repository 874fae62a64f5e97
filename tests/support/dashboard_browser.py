"""A browser of a user of the dashboard, which loads pages and sends forms."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models.accounts import User
from app.services.accounts import accounts
from tests.support.factories import make_account

PASSWORD = "correct horse battery"


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
        match = re.search(r'name="csrf" value="([0-9a-f]{64}\.[\w.-]+)"', self.get("/domains"))
        assert match is not None
        return match[1]

    def post(self, path: str, **form: Any) -> TestResponse:
        """Send a form with the CSRF token; answered with an error, or a redirect and a notice."""
        response = self.client.post(path, data={"csrf": self.csrf(), **form})
        assert response.status_code == 303 or response.status_code >= 400, path
        if response.status_code == 303:
            has_notice = any(
                cookie.startswith("notice=") for cookie in response.headers.getlist("Set-Cookie")
            )
            is_signed_out = response.headers["Location"].startswith("/auth/login?next=")
            assert has_notice or is_signed_out or "/results/" in response.headers["Location"], path
        return response

    def submit(self, path: str, **form: Any) -> str:
        """Send a form, and load the page that it redirects to."""
        response = self.post(path, **form)
        assert response.status_code == 303, response.text
        return self.get(response.headers["Location"])

    def sign_in(self, password: str = PASSWORD, **options: Any) -> TestResponse:
        """Send the form of the login page."""
        form = {"email": self.user.email, "password": password}
        return self.client.post("/auth/login", data=form, **options)


def make_browser(app: Flask, email: str, role: str = "owner", account: Any = None) -> Browser:
    """The browser of a new user, not signed in."""
    account = account or make_account()
    user, _ = accounts.add_user(account.name, email, role=role, password=PASSWORD)
    return Browser(app.test_client(), user, account.id)
