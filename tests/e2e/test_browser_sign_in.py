"""Signing in, showing a password, and choosing a new one, in a real browser."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from app.db.transactions import transaction
from app.models import PasswordReset, User
from tests.e2e.browser import PASSWORD, Person, open_person
from tests.e2e.service import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

NEW = "an entirely other horse"


def add_link(person: Person) -> str:
    """The path of a link for a new password, as an email would have it."""
    token = "a-token-of-a-link"
    with transaction() as session:
        user_id = session.scalars(select(User.id).where(User.email == person.email)).one()
        row = PasswordReset(
            user_id=user_id,
            digest=hashlib.sha256(token.encode()).digest(),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        session.add(row)
    return f"/auth/password/{token}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_person_who_lost_the_password_chooses_a_new_one_and_signs_in(
    chromium: Browser, service: Service, width: int, scheme: str
) -> None:
    viewport = {"width": width, "height": 900}
    bob = open_person(chromium, service, viewport=viewport, color_scheme=scheme)
    page = bob.go("/auth/login")
    bob.assert_no_problems()
    page.get_by_role("link", name="Lost your password?").click()
    expect(page.get_by_text("users reset-password")).to_be_visible()
    bob.assert_no_problems()
    page.goto(bob.url(add_link(bob)))
    field = page.get_by_label("New password")
    field.fill(NEW)
    bob.assert_no_problems()
    page.get_by_role("button", name="Show").click()
    expect(field).to_have_attribute("type", "text")
    bob.assert_no_problems()
    page.get_by_role("button", name="Hide").click()
    expect(field).to_have_attribute("type", "password")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password was changed")
    bob.assert_no_problems()
    bob.sign_in(NEW)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    bob.go("/settings/security")
    bob.assert_no_problems()
    bob.context.close()


def test_shown_password_is_hidden_again_when_the_form_is_sent(
    chromium: Browser, service: Service
) -> None:
    bob = open_person(chromium, service)
    page = bob.go("/auth/login")
    page.route("**/auth/login", lambda route: route.fulfill(status=204))
    page.get_by_label("Email").fill(bob.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Show").click()
    page.get_by_label("Password").evaluate("input => input.form.requestSubmit()")
    expect(page.get_by_label("Password")).to_have_attribute("type", "password")
    bob.context.close()


def test_without_scripts_there_is_no_button_to_show_the_password(
    chromium: Browser, service: Service
) -> None:
    bob = open_person(chromium, service, java_script_enabled=False)
    page = bob.sign_in()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page = bob.go("/settings/security")
    expect(page.get_by_label("Current password").first).to_be_visible()
    expect(page.get_by_role("button", name="Show")).to_have_count(0)
    bob.context.close()


def test_pages_after_the_first_one_are_in_the_time_zone_of_the_browser(
    chromium: Browser, service: Service
) -> None:
    ann = open_person(chromium, service, timezone_id="Asia/Katmandu")
    page = ann.sign_in()
    expect(page.get_by_text("Times are in Asia/Katmandu.")).to_be_visible()
    ann.go("/settings/audit")
    expect(page.locator("time").first).to_contain_text("UTC+05:45")
    ann.assert_no_problems()
    page.get_by_role("link", name="Change the time zone").click()
    page.get_by_role("combobox", name="Time zone").fill("America/New_York")
    page.get_by_role("button", name="Save time zone").click()
    expect(page.get_by_role("status")).to_contain_text("Times are shown in America/New_York.")
    ann.assert_no_problems()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Times are in Asia/Katmandu.")).to_be_visible()
    ann.context.close()
