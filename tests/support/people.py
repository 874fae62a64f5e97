"""Users of one account and their actions at the dashboard."""

import base64
import re
import time

from flask import Flask
from pyotp import TOTP

from app import ids
from app.protocols import totp
from app.services.accounts import accounts
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser

NEW = "an entirely other horse"


def invite(browser: Browser, email: str, role: str = "member") -> str:
    """The path of the link, where no mail server is configured."""
    page = browser.submit("/settings/team", email=email, role=role)
    match = re.search(r"http://127\.0\.0\.1:8000(/auth/invitation/[\w-]+)", page)
    assert match is not None
    return match[1]


def colleague(app: Flask, browser: Browser, role: str, email: str | None = None) -> Browser:
    """Another signed-in user of the same account."""
    account = accounts.find(ids.public("acc", browser.account_id))
    made = make_browser(app, email or f"{role}@acme.test", role=role, account=account)
    made.sign_in()
    return made


def user_path(browser: Browser, action: str) -> str:
    """The path of a team form about this user."""
    return f"/settings/team/{ids.public('usr', browser.user.id)}/{action}"


def secret_of(page: str) -> bytes:
    """The secret that the page shows as text."""
    match = re.search(r"<pre[^>]*>([A-Z2-7]{32})</pre>", page)
    assert match is not None
    return base64.b32decode(match[1])


def turn_on(browser: Browser) -> tuple[bytes, list[str]]:
    """Enable two-factor authentication; returns the secret and the recovery codes."""
    page = browser.get("/settings/security/second-factor")
    secret = secret_of(page)
    offer = re.search(r'name="offer" value="([^"]+)"', page)
    assert offer is not None
    code = code_of(secret, 0)
    form = {"offer": offer[1], "code": code, "current": PASSWORD}
    codes = browser.submit("/settings/security/second-factor", **form)
    return secret, re.findall(r"[2-9a-z]{4}(?:-[2-9a-z]{4}){3}", codes)


def code_of(secret: bytes, shift: int = 1) -> str:
    """The code of the next time step, which is valid now and for at least 30 seconds."""
    return _authenticator(secret).at(time.time(), counter_offset=shift)


def code_of_step(secret: bytes, step: int) -> str:
    """The code of one time step."""
    return _authenticator(secret).generate_otp(step)


def _authenticator(secret: bytes) -> TOTP:
    return TOTP(totp.text_of(secret))
