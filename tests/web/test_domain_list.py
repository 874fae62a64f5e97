"""The list of domains: sorting, filters, bulk changes, tags, saved views and the file."""

import csv
import io
import re

import pytest

from app.services.core import domain_lookup
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.scans import scans
from app.services.scans.scans import ScanFilter
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import ACTOR

UNDO = re.compile(r'action="(/undo/[0-9a-f]{64})"')
LINK = re.compile(r'<a href="/domains/([a-z0-9.]+)">')


@pytest.fixture
def browser(browser: Browser) -> Browser:
    """A user with three domains."""
    for name, tags in (("a.test", ("shop",)), ("b.test", ("shop", "eu")), ("c.test", ())):
        domains.create(browser.account_id, NewDomain(name, tags=tags), actor=ACTOR)
    return browser


def listed(page: str) -> list[str]:
    return LINK.findall(page)


def tags_of(browser: Browser, name: str) -> tuple[str, ...]:
    return tuple(domain_lookup.find(browser.account_id, name).tags)


def undo(browser: Browser, page: str) -> str:
    match = UNDO.search(page)
    assert match is not None
    return browser.submit(match[1])


def test_heading_sorts_and_a_second_click_turns_the_order_around(browser: Browser) -> None:
    page = browser.get("/domains?sort=name")
    assert listed(page) == ["a.test", "b.test", "c.test"]
    assert 'aria-sort="ascending"><a class="sort" href="/domains?sort=-name">' in page
    page = browser.get("/domains?sort=-name")
    assert listed(page) == ["c.test", "b.test", "a.test"]
    assert 'aria-sort="descending"><a class="sort" href="/domains?sort=name">' in page
    assert 'href="/domains?sort=-volume"' in page  # the largest number first


def test_list_says_how_many_domains_match(browser: Browser) -> None:
    assert "3 domains" in browser.get("/domains")
    assert "2 domains that match these filters" in browser.get("/domains?tag=shop")
    assert "No domains match these filters." in browser.get("/domains?policy=reject")
    assert listed(browser.get("/domains?state=unscanned&tag=eu")) == ["b.test"]


def test_lowest_score_is_first_without_a_chosen_order(browser: Browser) -> None:
    run_queued_scans(browser)
    scans.trigger(browser.account_id, "b.test", actor=ACTOR)
    run_queued_scans(browser)
    assert listed(browser.get("/domains"))[0] == "b.test"


def test_selected_domains_get_a_tag_that_undo_removes(browser: Browser) -> None:
    form = {"name": ["a.test", "c.test"], "action": "add_tag", "new_tag": "client", "schedule": ""}
    page = browser.submit("/domains/batch?tag=shop&sort=name", **form)
    assert "“client” was added to 2 domains." in page
    assert listed(page) == ["a.test", "b.test"]  # the same filters
    assert tags_of(browser, "c.test") == ("client",)
    assert "Undone: 2 domains restored." in undo(browser, page)
    assert tags_of(browser, "c.test") == ()


def test_all_domains_that_match_are_changed(browser: Browser) -> None:
    form = {"scope": "all", "action": "schedule", "schedule": "weekly"}
    page = browser.submit("/domains/batch?tag=shop", **form)
    assert "The scan schedule of 2 domains was changed to weekly." in page
    names = ("a.test", "b.test", "c.test")
    schedules = [domain_lookup.find(browser.account_id, name).schedule for name in names]
    assert schedules == ["weekly", "weekly", "daily"]


def test_selected_domains_are_scanned(browser: Browser) -> None:
    form = {"name": ["a.test", "c.test"], "action": "scan"}
    page = browser.submit("/domains/batch", **form)
    assert "2 scans started." in page
    assert "First scans: 0 of 2 finished." in page
    rows, _ = scans.listing(browser.account_id, ScanFilter(status="queued")).page(None, 50)
    assert sorted(row.domain_name for row in rows) == ["a.test", "c.test"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"action": "scan"}, "none were selected"),
        ({"name": "a.test", "action": "add_tag", "new_tag": "a,b"}, "Enter one tag"),
        ({"name": "a.test", "action": "schedule", "schedule": ""}, "Choose a scan schedule"),
        ({"name": "a.test", "action": "schedule", "schedule": "x"}, "Choose one of the options"),
        ({"name": "a.test", "action": "explode"}, "Choose an action"),
    ],
)
def test_change_that_is_not_possible_says_why_on_the_list(
    browser: Browser, form: dict[str, str], message: str
) -> None:
    assert message in browser.submit("/domains/batch?q=test", **form)


def test_domains_are_deleted_after_their_number_is_entered(browser: Browser) -> None:
    form = {"name": ["a.test", "b.test"], "action": "delete"}
    page = browser.submit("/domains/batch", **form)
    assert "Delete 2 domains?" in page
    assert "set the scan schedule to manual only instead" in page
    names = re.findall(r'type="hidden" name="name" value="([^"]+)"', page)
    refused = browser.submit("/domains/delete", name=names, confirm="3")
    assert "Nothing was deleted. Enter 2 to delete 2 domains." in refused
    page = browser.submit("/domains/delete", name=names, confirm="2")
    assert "2 domains and their data were deleted." in page
    assert listed(page) == ["c.test"]


def test_tag_is_renamed_on_all_domains_and_the_change_undone(browser: Browser) -> None:
    page = browser.submit("/domains/tags", tag="shop", name="client a")
    assert "“shop” was renamed to “client a” on 2 domains." in page
    assert tags_of(browser, "b.test") == ("client a", "eu")
    undo(browser, page)
    assert tags_of(browser, "b.test") == ("shop", "eu")
    assert "Enter one tag" in browser.submit("/domains/tags", tag="shop", name="a, b")
    assert "“eu” was removed from 1 domain." in browser.submit("/domains/tags/remove", tag="eu")
    assert "already had this setting" in browser.submit("/domains/tags/remove", tag="eu")


def test_view_is_saved_with_its_filters_and_deleted_with_undo(browser: Browser) -> None:
    page = browser.submit("/domains/views?tag=shop&sort=name", name="Shops")
    assert "The view “Shops” was saved." in page
    page = browser.get("/domains")
    assert 'href="/domains?tag=shop&amp;sort=name"' in page
    action = re.search(r'action="(/domains/views/[^"]+/delete)"', page)
    assert action is not None
    page = browser.submit(action[1])
    assert "The view “Shops” was deleted." in page
    assert "tag=shop" not in page.partition("<table")[0].partition("views")[2]
    assert "Shops" in undo(browser, page)
    assert 'href="/domains?tag=shop&amp;sort=name"' in browser.get("/domains")


def test_view_of_another_user_is_not_found(browser: Browser, stranger: Browser) -> None:
    page = browser.submit("/domains/views?tag=shop", name="Shops")
    action = re.search(r'action="(/domains/views/[^"]+/delete)"', page)
    assert action is not None
    assert stranger.post(action[1]).status_code == 404
    assert stranger.post("/domains/views/x/delete").status_code == 404


def test_file_has_the_domains_that_match_in_their_order(browser: Browser) -> None:
    run_queued_scans(browser)
    text = browser.get("/domains/file?format=csv&tag=shop&sort=-name")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["b.test", "a.test"]
    assert rows[0]["tags"] == "shop eu"
    assert rows[0]["openAlerts"] == "0"
    assert set(rows[0]) >= {"policy", "passRate", "messages", "score", "scoreChange"}


def test_progress_of_first_scans_ends_with_a_link_to_refresh(browser: Browser) -> None:
    scans.trigger(browser.account_id, "a.test", actor=ACTOR)
    assert "First scans: 0 of 1 finished." in browser.get("/domains/first-scans")
    run_queued_scans(browser)
    assert "The first scans are finished." in browser.get("/domains/first-scans")
    assert "First scans" not in browser.get("/domains")
