"""Senders are found and classified on the Policy page and the Email page, in a real browser."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from app.db.transactions import transaction
from app.models import Domain, DomainState
from app.protocols.report_formats.aggregate import SpfResult
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.scans import scans
from tests.e2e.browser import Person
from tests.e2e.service import wait_for
from tests.support import stored_reports as reports
from tests.support.factories import ACTOR

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

MAX_CLICKS = 4
UNALIGNED = {
    "dkim": False,
    "spf": False,
    "dkim_results": (),
    "spf_results": (SpfResult("x.mcsv.net", "mfrom", "pass"),),
}

SPOOFED = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}


def store_month(person: Person, name: str) -> Domain:
    """A domain at p=quarantine, for which an unclassified service sends unaligned mail."""
    domain = domains.create(person.account_id, NewDomain(name), actor=ACTOR)
    scan = scans.trigger(person.account_id, name, actor=ACTOR).scan
    wait_for(lambda: scans.find(person.account_id, scan.id).status == "completed", "the scan")
    facts = {
        "record": "v=DMARC1; p=quarantine; rua=mailto:d@acme.test",
        "record_at": name,
        "org_domain": name,
        "policy_since": "2020-01-01T00:00:00.000Z",
    }
    with transaction() as session:
        state = session.get_one(DomainState, domain.id)
        results = dict(state.last_results)
        results["dmarc"] = {**results["dmarc"], "facts": {**results["dmarc"]["facts"], **facts}}
        state.last_results = results
    own = reports.record("192.0.2.1", 500, header_from=name)
    service = reports.record("203.0.113.77", 40, header_from=name, **UNALIGNED)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for day in range(20):
        begin = now - timedelta(days=day + 1)
        reports.store(domain, reports.Report([own, service], begin=begin))
    return domain


def decide(page: Page, name: str) -> int:
    """Go from the overview to the blocker of the domain, block it, and return the clicks."""
    steps = [
        page.get_by_role("link", name="Domains", exact=True).first,
        page.get_by_role("link", name=name, exact=True).first,
        page.get_by_role("link", name="Policy", exact=True),
        page.get_by_role("button", name="Block Mailchimp"),
    ]
    for step in steps:
        step.click()
    return len(steps)


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("d10.test", 1280, "light"),
        ("d11.test", 390, "light"),
        ("d12.test", 1280, "dark"),
        ("d13.test", 390, "dark"),
    ],
)
def test_what_blocks_reject_is_found_and_decided_in_four_clicks(
    ann: Person, name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    store_month(ann, name)
    ann.page.set_viewport_size({"width": width, "height": 900})
    ann.page.emulate_media(color_scheme=scheme)
    page = ann.go(f"/domains/{name}/policy")
    expect(page.get_by_role("heading", level=2).first).to_have_text(
        "Not ready for p=reject: 1 sender to review"
    )
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    ann.assert_no_problems()

    assert decide(ann.go("/"), name) <= MAX_CLICKS
    verdict = page.get_by_role("heading", level=2).first
    expect(verdict).to_contain_text("Ready for p=reject: 0 of 10,000 legitimate messages")
    expect(page.get_by_role("status")).to_contain_text("saved: Blocked")
    expect(page.get_by_text("v=DMARC1; p=reject", exact=False)).to_have_count(1)
    ann.assert_no_problems()

    page.get_by_role("button", name="Undo").click()
    expect(verdict).to_have_text("Not ready for p=reject: 1 sender to review")
    ann.assert_no_problems()


@pytest.mark.parametrize(("name", "width"), [("d14.test", 1280), ("d15.test", 390)])
def test_sender_is_found_in_its_segment_approved_and_the_decision_undone(
    ann: Person, name: str, width: int
) -> None:
    domain = store_month(ann, name)
    spoofed = [reports.record(f"198.51.100.{n}", 3, header_from=name, **SPOOFED) for n in range(60)]
    begin = datetime.now(UTC) - timedelta(days=2)
    reports.store(domain, reports.Report(spoofed, begin=begin, reporter="yahoo.com"))
    ann.page.set_viewport_size({"width": width, "height": 900})
    page = ann.go(f"/domains/{name}/mail")
    tabs = page.get_by_role("navigation", name="Senders")
    table = page.get_by_role("table", name=f"Senders using {name}")
    expect(tabs).to_have_text(re.compile(r"All 3\s+Yours 1\s+Needs review 1\s+Forwarders 0\s+"))
    ann.assert_no_problems()

    page.get_by_role("link", name="60 unauthenticated addresses").click()
    expect(table.get_by_role("rowheader")).to_have_count(50)
    ann.assert_no_problems()
    page.get_by_role("link", name="Next page").click()
    expect(table.get_by_role("rowheader")).to_have_count(10)

    tabs.get_by_role("link", name="Needs review 1").click()
    page.get_by_label("Search by name or address").fill("mailchimp")
    page.get_by_role("search", name="Senders").get_by_role("button", name="Apply").click()
    expect(table.get_by_role("rowheader")).to_have_count(1)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Export CSV").click()
    assert '"service:Mailchimp","Mailchimp","review"' in saved.value.path().read_text()
    table.get_by_role("button", name="Approve Mailchimp").click()
    expect(page.get_by_role("status")).to_contain_text("saved: Approved")
    expect(tabs).to_contain_text("Needs review 0")
    ann.assert_no_problems()
    page.get_by_role("button", name="Undo").click()
    expect(table.get_by_role("rowheader")).to_have_count(1)
    ann.assert_no_problems()
