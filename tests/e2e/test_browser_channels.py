"""A webhook in a real browser: added, tested, failed, retried, rotated and deleted."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook

from tests.e2e.browser import Person
from tests.e2e.service import wait_for
from tests.support.receivers import Receiver

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def receiver(receivers: tuple[Receiver, Receiver]) -> Iterator[Receiver]:
    """The receiver of the webhook; it answers 200 unless a test changes that."""
    first = receivers[0]
    first.calls.clear()
    first.answer = lambda _: (200, {})
    yield first
    first.answer = lambda _: (200, {})


def added(person: Person, receiver: Receiver) -> str:
    """Add a webhook to the receiver and open its page; returns its secret."""
    page = person.go("/settings/notifications")
    page.get_by_label("Name").fill("ops hook")
    page.get_by_label("Destination").fill(receiver.url)
    page.get_by_label("Minimum severity").select_option("low")
    page.get_by_role("button", name="Add channel").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    person.assert_no_problems()
    secret = person.copied()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", name=re.compile("ops hook Active"))).to_be_visible()
    return secret


def wait_for_delivery(page: Page, status: str) -> None:
    """Open the page again until the newest delivery has this status.

    The page is opened by its address: Chromium refuses a reload with a protocol error while
    the page of a finished navigation still takes the place of the one before.
    """

    def has_status() -> bool:
        page.goto(page.url)
        rows = page.get_by_role("region", name="Deliveries").get_by_role("row")
        return rows.count() > 1 and status in rows.nth(1).inner_text()

    wait_for(has_status, f"the delivery to be {status}")


def test_webhook_is_added_tested_and_verified_by_its_receiver(
    ann: Person, receiver: Receiver
) -> None:
    secret, page = added(ann, receiver), ann.page
    expect(page.get_by_text("No deliveries yet.")).to_be_visible()
    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_role("status")).to_contain_text("Test sent")
    wait_for_delivery(page, "Delivered")
    row = page.get_by_role("row", name="Delivered")
    expect(row).to_contain_text("test")
    expect(row).to_contain_text("200")
    (call,) = receiver.calls
    payload: Any = Webhook(secret).verify(call.body, call.headers)
    assert payload == json.loads(call.body)
    ann.assert_no_problems()
    page.get_by_role("link", name="Notifications", exact=True).first.click()
    expect(page.get_by_role("row", name="ops hook")).to_contain_text("Active")
    ann.assert_no_problems()


def test_failed_delivery_is_retried_after_the_receiver_recovers(
    ann: Person, receiver: Receiver
) -> None:
    added(ann, receiver)
    page = ann.page
    receiver.answer = lambda _: (410, {})
    page.get_by_role("button", name="Send test").click()
    wait_for_delivery(page, "Failed")
    expect(page.get_by_text("Disabled: the endpoint returned 410 Gone.")).to_be_visible()
    expect(page.get_by_role("button", name="Send test")).to_have_count(0)
    ann.assert_no_problems()
    receiver.answer = lambda _: (200, {})
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Retry failed deliveries").click()
    expect(page.get_by_role("status")).to_contain_text("being retried")
    wait_for_delivery(page, "Delivered")
    assert len(receiver.by_id) == 1  # the same event id, so that receivers can deduplicate
    assert len(receiver.calls) == 2
    ann.assert_no_problems()


def test_webhook_secret_is_rotated_and_the_webhook_deleted(ann: Person, receiver: Receiver) -> None:
    old, page = added(ann, receiver), ann.page
    page.get_by_text("Rotate secret…").click()
    page.get_by_label("Old secret expires").select_option("Immediately")
    page.get_by_role("button", name="Rotate secret").click()
    new = page.locator("pre.secret").inner_text()
    assert new != old
    page.get_by_role("link", name="Done").click()
    page.get_by_role("button", name="Send test").click()
    wait_for_delivery(page, "Delivered")
    Webhook(new).verify(receiver.calls[-1].body, receiver.calls[-1].headers)
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("heading", name=re.compile("ops hook Disabled"))).to_be_visible()
    expect(page.get_by_role("button", name="Send test")).to_have_count(0)
    ann.assert_no_problems()
    page.get_by_text("Delete…").click()
    page.get_by_label("to confirm").fill("ops hook")
    page.get_by_role("button", name="Delete ops hook").click()
    expect(page.get_by_role("heading", name="No notifications yet")).to_be_visible()
    ann.assert_no_problems()
    page = ann.go("/settings/audit?about=channel.")
    actions = page.get_by_role("table").inner_text()
    for action in ("added", "tested", "secret_rotated", "disabled", "removed"):
        assert f"channel.{action}" in actions


def test_forbidden_webhook_url_shows_an_error_next_to_the_field(
    ann: Person, receiver: Receiver
) -> None:
    page = ann.go("/settings/notifications")
    page.get_by_label("Name").fill("ops hook")
    page.get_by_label("Destination").fill(f"https://localhost:{receiver.port}/hook")
    page.get_by_role("button", name="Add channel").click()
    field = page.get_by_label("Destination")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value(f"https://localhost:{receiver.port}/hook")
    # The browser logs the 400 response to the console; that is not a problem of the page.
    ann.problems[:] = [problem for problem in ann.problems if "400" not in problem]
    ann.assert_no_problems()
    assert receiver.calls == []
