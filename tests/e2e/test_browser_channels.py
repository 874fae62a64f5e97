"""A webhook's whole life in a real browser: set up, tested, given up, sent again, taken away."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook

from tests.e2e.browser import Person
from tests.e2e.service import wait_for
from tests.receivers import Receiver

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def receiver(receivers: tuple[Receiver, Receiver]) -> Iterator[Receiver]:
    """What the webhook calls: it answers 200 until a test says otherwise."""
    found = receivers[0]
    found.calls.clear()
    found.answer = lambda _: (200, {})
    yield found
    found.answer = lambda _: (200, {})


def added(person: Person, receiver: Receiver) -> str:
    """The secret of a new webhook to the receiver, whose page is open then."""
    page = person.go("/settings/notifications")
    page.get_by_label("Name").fill("ops hook")
    page.get_by_label("Where to").fill(receiver.url)
    page.get_by_label("From severity").select_option("low")
    page.get_by_role("button", name="Add the channel").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    person.assert_whole()
    secret = person.copied()
    page.get_by_role("link", name="I have it").click()
    expect(page.get_by_role("heading", name=re.compile("ops hook active"))).to_be_visible()
    return secret


def log_says(page: Page, words: str) -> None:
    """Load the page again until the newest delivery is so."""

    def is_so() -> bool:
        page.reload()
        rows = page.get_by_role("region", name="Deliveries").get_by_role("row")
        return rows.count() > 1 and words in rows.nth(1).inner_text()

    wait_for(is_so, f"the delivery to be {words}")


def test_a_webhook_is_added_and_tested_and_its_receiver_can_check_who_calls(
    ann: Person, receiver: Receiver
) -> None:
    secret, page = added(ann, receiver), ann.page
    expect(page.get_by_text("Nothing has been sent yet.")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status")).to_contain_text("A test is on its way")
    log_says(page, "delivered")
    row = page.get_by_role("row", name="delivered")
    expect(row).to_contain_text("test")
    expect(row).to_contain_text("200")
    (call,) = receiver.calls
    said: Any = Webhook(secret).verify(call.body, call.headers)
    assert said == json.loads(call.body)
    ann.assert_whole()
    page.get_by_role("link", name="Notifications", exact=True).first.click()
    expect(page.get_by_role("row", name="ops hook")).to_contain_text("active")
    ann.assert_whole()


def test_what_was_given_up_is_sent_again_once_the_receiver_is_back(
    ann: Person, receiver: Receiver
) -> None:
    added(ann, receiver)
    page = ann.page
    receiver.answer = lambda _: (410, {})
    page.get_by_role("button", name="Send a test").click()
    log_says(page, "given up")
    expect(page.get_by_text("Disabled: it answered 410: it wants no more.")).to_be_visible()
    expect(page.get_by_role("button", name="Send a test")).to_have_count(0)
    ann.assert_whole()
    receiver.answer = lambda _: (200, {})
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Send again what was given up").click()
    expect(page.get_by_role("status")).to_contain_text("sent again")
    log_says(page, "delivered")
    assert len(receiver.by_id) == 1  # the same event, so that it can be told apart
    assert len(receiver.calls) == 2
    ann.assert_whole()


def test_a_webhook_gets_a_new_secret_is_switched_off_and_removed(
    ann: Person, receiver: Receiver
) -> None:
    old, page = added(ann, receiver), ann.page
    page.get_by_text("New secret…").click()
    page.get_by_label("The old one ends").select_option("at once")
    page.get_by_role("button", name="Make a new one").click()
    new = page.locator("pre.secret").inner_text()
    assert new != old
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("button", name="Send a test").click()
    log_says(page, "delivered")
    Webhook(new).verify(receiver.calls[-1].body, receiver.calls[-1].headers)
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("heading", name=re.compile("ops hook disabled"))).to_be_visible()
    expect(page.get_by_role("button", name="Send a test")).to_have_count(0)
    ann.assert_whole()
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name="Remove ops hook").click()
    expect(page.get_by_role("heading", name="Nobody is told yet")).to_be_visible()
    ann.assert_whole()
    page = ann.go("/settings/audit?about=channel.")
    acts = page.get_by_role("table").inner_text()
    for act in ("added", "tested", "secret_rotated", "disabled", "removed"):
        assert f"channel.{act}" in acts


def test_a_webhook_to_where_none_may_go_is_refused_next_to_the_field(
    ann: Person, receiver: Receiver
) -> None:
    page = ann.go("/settings/notifications")
    page.get_by_label("Name").fill("ops hook")
    page.get_by_label("Where to").fill(f"https://localhost:{receiver.port}/hook")
    page.get_by_role("button", name="Add the channel").click()
    field = page.get_by_label("Where to")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value(f"https://localhost:{receiver.port}/hook")
    # That the answer is 400 is no trouble of the page.
    ann.troubles[:] = [trouble for trouble in ann.troubles if "400" not in trouble]
    ann.assert_whole()
    assert receiver.calls == []
