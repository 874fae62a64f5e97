"""Tasks of people with many domains and alerts, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select, update

from app.channels import email_html
from app.checks.engine.types import Severity
from app.db.transactions import now, transaction
from app.models import BrowserSession, Domain, Event
from app.rules.engine.types import AlertDraft
from app.services.alerts import transitions
from app.services.alerts.transitions import Sighting
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from tests.e2e.browser import PASSWORD, Person, open_person
from tests.e2e.service import Service
from tests.support.factories import ACTOR

pytestmark = [
    pytest.mark.e2e,
    # The pages do not depend on the database; the web tests run on both.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


SHAPES = [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]['width']}-{shape[1]}")
def ann(request: pytest.FixtureRequest, chromium: Browser, service: Service) -> Iterator[Person]:
    """A user who has signed in, with a large and a small window, light and dark."""
    viewport, scheme = request.param
    person = open_person(chromium, service, viewport=viewport, color_scheme=scheme)
    person.sign_in()
    yield person
    person.context.close()


def add_scored(person: Person, count: int) -> None:
    """Add domains with different scores; every second one has the tag client-a."""
    for number in range(count):
        tags = ("client-a",) if number % 2 else ()
        new = NewDomain(f"m{number}.test", tags=tags, schedule="off")
        domain = domains.create(person.account_id, new, actor=ACTOR)
        values = {"score": 95 - 4 * number, "grade": "B", "dmarc_policy": "none"}
        with transaction() as session:
            session.execute(update(Domain).where(Domain.id == domain.id).values(**values))


def test_the_five_worst_domains_of_a_tag_are_found_without_help(ann: Person) -> None:
    add_scored(ann, 14)
    page = ann.go("/")
    page.get_by_role("link", name="Domains", exact=True).click()
    page.get_by_role("link", name="client-a").first.click()
    rows = page.get_by_role("rowheader").get_by_role("link", name=re.compile(r"^m\d+\.test$"))
    expect(rows).to_have_count(7)
    assert rows.all_inner_texts()[:5] == ["m13.test", "m11.test", "m9.test", "m7.test", "m5.test"]
    ann.assert_no_problems()


def test_several_domains_get_a_tag_and_undo_removes_it(ann: Person) -> None:
    add_scored(ann, 4)
    page = ann.go("/domains?sort=name")
    expect(page.get_by_role("button", name="Add tag")).to_be_hidden()
    page.get_by_label("m0.test", exact=True).check()
    page.get_by_label("m2.test", exact=True).check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_label("Tag to add or remove").fill("parked")
    ann.assert_no_problems()
    page.get_by_role("button", name="Add tag").click()
    expect(page.get_by_role("status")).to_contain_text("“parked” was added to 2 domains.")
    expect(page.get_by_role("link", name="parked")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("Undone: 2 domains restored.")
    expect(page.get_by_role("link", name="parked")).to_have_count(0)
    page.get_by_label("Select domains to change them").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_label("to confirm").fill("4")
    ann.assert_no_problems()
    page.get_by_role("button", name="Delete 4 domains").click()
    expect(page.get_by_role("heading", name="No domains yet")).to_be_visible()
    ann.assert_no_problems()


def test_tags_are_renamed_on_their_page(ann: Person) -> None:
    add_scored(ann, 4)
    page = ann.go("/domains")
    page.get_by_role("link", name="Tags", exact=True).click()
    page.get_by_text("Rename…").click()
    page.get_by_label("New name").fill("client-b")
    ann.assert_no_problems()
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("rowheader", name="client-b")).to_be_visible()
    ann.assert_no_problems()


def test_form_that_was_sent_after_the_session_ended_is_filled_in_again(ann: Person) -> None:
    add_scored(ann, 1)
    page = ann.go("/domains/m0.test/settings")
    page.get_by_label("Tags").fill("entered before")
    page.get_by_label("Scan schedule").select_option("weekly")
    with transaction() as session:
        session.execute(update(BrowserSession).values(expires_at=BrowserSession.created_at))
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status")).to_contain_text("Your session has ended")
    page.get_by_label("Email").fill(ann.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing was saved yet")
    expect(page.get_by_label("Tags")).to_have_value("entered before")
    expect(page.get_by_label("Scan schedule")).to_have_value("weekly")
    ann.assert_no_problems()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status")).to_contain_text("The settings of m0.test were saved.")


def add_alerts(person: Person) -> None:
    """Add a domain with a critical, a high and a low alert."""
    domain = domains.create(person.account_id, NewDomain("m0.test", schedule="off"), actor=ACTOR)
    for severity in (Severity.LOW, Severity.HIGH, Severity.CRITICAL):
        draft = AlertDraft(
            type="spf.missing",
            subject=f"{severity.value}.m0.test",
            severity=severity,
            title=f"A {severity.value} problem",
            message="m0.test: a problem.",
            evidence={},
        )
        with transaction() as session:
            owner = session.get_one(Domain, domain.id)
            transitions.open_alert(session, owner, [draft], Sighting(now=now(session)))


def email_of(person: Person, base_url: str) -> str:
    """The HTML of the email about the critical alert."""
    with transaction(readonly=True) as session:
        rows = session.scalars(select(Event).where(Event.account_id == person.account_id)).all()
    bodies = [row.body for row in rows]
    events = [body for body in bodies if body["data"]["alert"]["severity"] == "critical"]
    return email_html.render_events(events, base_url, "")


def test_alert_email_leads_to_an_acknowledged_alert_with_a_comment_in_three_clicks(
    ann: Person,
) -> None:
    add_alerts(ann)
    page = ann.page
    page.goto("about:blank")  # the email program has its own rules for styles
    page.set_content(email_of(ann, ann.url("")))
    page.get_by_role("link", name="View alert").click()
    page.get_by_label("Comment (optional)").click()
    page.keyboard.type("Ticket 4711")
    page.get_by_role("button", name="Acknowledge").click()
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("ann@acme.test acknowledged this alert")
    expect(history).to_contain_text("Ticket 4711")
    expect(page.get_by_role("heading", level=1)).to_have_text("A critical problem")
    ann.assert_no_problems()


def test_alert_is_acknowledged_from_sign_in_with_the_keyboard_only(
    chromium: Browser, service: Service
) -> None:
    person = open_person(chromium, service, viewport=WIDE)
    add_alerts(person)
    page = person.go("/alerts")
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="A critical problem")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("e")
    expect(page.get_by_role("status")).to_contain_text("1 alert acknowledged.")
    expect(page.get_by_role("article")).to_have_count(2)
    person.assert_no_problems()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("A high problem")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1)).to_have_text("A low problem")
    page.keyboard.press("e")
    expect(page.get_by_role("region", name="History")).to_contain_text("acknowledged this alert")
    person.assert_no_problems()
    person.go("/alerts")
    page.keyboard.press("/")
    page.keyboard.type("jke")
    expect(page.get_by_label("Search alerts")).to_have_value("jke")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No open alerts match q “jke”.")).to_be_visible()
    person.context.close()


def test_keys_can_be_turned_off(chromium: Browser, service: Service) -> None:
    person = open_person(chromium, service, viewport=WIDE)
    add_alerts(person)
    person.sign_in()
    page = person.go("/alerts")
    page.get_by_role("button", name="Turn keys off").click()
    page = person.go("/alerts?group=domain")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="A critical problem")).not_to_be_focused()
    page.get_by_role("button", name="Turn keys on").click()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="A critical problem")).to_be_focused()
    person.assert_no_problems()
    person.context.close()
