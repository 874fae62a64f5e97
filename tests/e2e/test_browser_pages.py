"""Every page of the dashboard in a real browser: wide and narrow, light and dark."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from flask import Flask
from playwright.sync_api import Browser, ViewportSize, expect
from sqlalchemy import select, update

from app import ids
from app.db.transactions import now, transaction
from app.mailboxes.imap import ImapConfig
from app.models import ChannelRecipient, Domain, RecordSink, ReportMailbox
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.api_keys import usage
from app.services.domain_status import share_links
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter
from app.services.mailboxes import mailboxes
from app.services.notifications import recipients
from app.services.scans import scans
from app.sinks.registry import SINK_TYPES
from tests.e2e.browser import Person, open_person
from tests.e2e.service import Service, wait_for
from tests.support import stored_reports
from tests.support.factories import ACTOR, add_email_channel, make_key
from tests.support.forwarding_sinks import add_sink
from tests.support.report_documents import dmarc_xml, failure_mail, tls_json

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

NOT_VISITED = {  # pages that no test of this file loads, and why
    "web.static": "a file",
    "web.domains.file": "a download",
    "web.mail.senders_file": "a download",
    "web.records.file": "a download",
    "web.tls_records.file": "a download",
    "web.reports.raw": "a download",
    "web.domains.progress": "a part of the page of a domain",
    "web.domains.first_scans": "a part of the page of added domains",
    "web.settings.redirect_to_first_page": "redirects",
    "web.former_reporting.redirect_former_path": "redirects",
    "web.auth.code": "test_second_factor_is_enabled_and_required visits it",
    "web.auth.invitation": "test_invited_user_joins_by_link visits it",
    "web.passwords.reset": "test_person_who_lost_the_password_chooses_a_new_one visits it",
    "web.results.show": "test_first_api_key_makes_a_request visits it",
}
SIMPLE_PATHS = (
    *("/domains/tags", "/domains/d0.test/profiles", "/domains/d0.test/try"),
    *("/domains/d0.test/tls-records", "/domains/d0.test/tls-records?resultType=x&hasMx=false"),
    *("/settings/upload-tokens", "/settings/profiles", "/settings/account"),
    "/settings/mailboxes/new/imap",
    *(f"/settings/integrations/add/{name}" for name in SINK_TYPES),
)
SIGNED_OUT = ("/auth/login", "/auth/password")
SHAPES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'


@pytest.fixture
def ann(chromium: Browser, service: Service, request: pytest.FixtureRequest) -> Iterator[Person]:
    """A user with data on every page, some of it hostile."""
    width, scheme = getattr(request, "param", SHAPES[0])
    viewport = {"width": width, "height": 900}
    person = open_person(chromium, service, viewport=viewport, color_scheme=scheme)
    domains.create(person.account_id, NewDomain("d0.test", tags=[HOSTILE[:50]]), actor=ACTOR)
    scan = scans.trigger(person.account_id, "d0.test", actor=HOSTILE).scan
    wait_for(lambda: scans.find(person.account_id, scan.id).status == "completed", "the scan")
    person.sign_in()
    yield person
    person.context.close()


def store_chart(person: Person) -> None:
    """Store reports of three days, in which some messages fail DMARC."""
    with transaction(readonly=True) as session:
        domain = session.scalars(select(Domain).where(Domain.account_id == person.account_id)).one()
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    failing = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    for day in range(1, 4):
        rows = [
            stored_reports.record("192.0.2.1", 40, header_from=domain.name),
            stored_reports.record("203.0.113.9", 4, header_from=domain.name, **failing),
        ]
        begin = end - timedelta(days=day)
        stored_reports.store(domain, stored_reports.Report(rows, begin=begin))


def report_paths(person: Person) -> list[str]:
    """The paths of the pages of one report of each kind."""
    org = HOSTILE.replace("<", "&lt;").replace('"', "&quot;")
    files = dmarc_xml("d0.test", org=org), tls_json("d0.test"), failure_mail("d0.test"), b"what?"
    for raw in files:
        ingest_files.store(person.account_id, raw, received_via="dashboard", file_name=HOSTILE)
    kinds = {"dmarc": "dmr", "tls": "tlr", "failure": "flr"}

    def parsed() -> Sequence[Any]:
        return ingest_files.search(person.account_id, ReportFileFilter(status="parsed")).page(
            None, 10
        )[0]

    wait_for(lambda: {row.kind for row in parsed()} == set(kinds), "the reports")
    rows = parsed()
    return [f"/reports/{row.kind}/{ids.public(kinds[row.kind], row.report_id)}" for row in rows]


def paused_mailbox(account_id: UUID) -> UUID:
    """The id of a paused mailbox with a failure and a skipped message."""
    access = ImapConfig(
        host="imap.reports.test",
        port=993,
        username=HOSTILE,
        password="secret password",
        folder=HOSTILE,
        done_folder=HOSTILE[:50],
    )
    row = mailboxes.add(account_id, access, actor=HOSTILE)
    mailboxes.pause(account_id, row.id, actor=HOSTILE)
    values = {"failure": HOSTILE * 2, "skipped": {f"{HOSTILE} 1": HOSTILE * 2}, "read_count": 12}
    with transaction() as session:
        session.execute(update(ReportMailbox).where(ReportMailbox.id == row.id).values(**values))
    return row.id


def failing_sink(account_id: UUID) -> UUID:
    """The id of a sink with a failure and a skipped record."""
    options = {"url": f"https://{'long-' * 10}name.example.com:9200", "secret": "a:b"}
    sink_id = add_sink(account_id, "bulk", options, name=HOSTILE[:100])
    values = {
        "failure": HOSTILE * 2,
        "failing_since": datetime(2026, 1, 1, tzinfo=UTC),
        "skipped": {f"{HOSTILE} 1": HOSTILE * 2},
        "skipped_count": 30,
    }
    with transaction() as session:
        session.execute(update(RecordSink).where(RecordSink.id == sink_id).values(**values))
    return sink_id


def recipient_paths(channel_id: UUID) -> list[str]:
    """The paths of the links that the recipient of an email channel gets."""
    token = secrets.token_hex(16)
    with transaction() as session:
        row = session.scalars(
            select(ChannelRecipient).where(ChannelRecipient.channel_id == channel_id)
        ).one()
        row.digest, row.requested_at = hashlib.sha256(token.encode()).hexdigest(), now(session)
    link = urlsplit(recipients.unsubscribe_url(row.id))
    return [f"/notifications/confirm/{token}", link.path]


def share_link_path(account_id: UUID) -> str:
    """The path of a link that shows the checks of a domain without signing in."""
    _, token = share_links.create(account_id, "d0.test", 7, None, actor=ACTOR)
    return f"/shared/{token}"


def alert_rows(person: Person) -> Sequence[Any]:
    """The alerts, of which the last one is an accepted risk with hostile texts."""
    rows, _ = alerts.listing(person.account_id, AlertFilter()).page(None, 50)
    change = AlertChange(
        status="dismissed",
        note=HOSTILE,
        accepted_until=datetime(2199, 1, 1, tzinfo=UTC),
        risk_owner=HOSTILE,
    )
    alerts.change(person.account_id, rows[-1].id, change, actor=HOSTILE)
    return rows


def paths(person: Person) -> list[str]:
    """The paths of all pages that have data."""
    reports = report_paths(person)
    channel = add_email_channel(person.account_id, HOSTILE[:50], "ops@acme.test")
    channel_path = f"/settings/notifications/{ids.public('chan', channel.id)}"
    mailbox_path = f"/settings/mailboxes/{ids.public('mbx', paused_mailbox(person.account_id))}"
    sink_id = failing_sink(person.account_id)
    tokens.create(person.account_id, actor=ACTOR)
    key, _ = make_key(person.account_id)
    usage.record(key.id, f"GET {HOSTILE}"[:100], 200, "192.0.2.1")
    usage.record(key.id, "GET /v1/domains", 429, "2001:db8::1")
    usage.flush()
    rows = alert_rows(person)
    file_rows, _ = ingest_files.search(person.account_id, ReportFileFilter()).page(None, 1)
    return [
        *recipient_paths(channel.id),
        share_link_path(person.account_id),
        f"/reports/files/{ids.public('file', file_rows[0].id)}",
        *SIMPLE_PATHS,
        *("/", "/domains", "/domains/add", "/domains/d0.test", "/domains/d0.test/history"),
        *("/domains/d0.test/settings", "/alerts", f"/alerts/{ids.public('alert', rows[0].id)}"),
        *(
            "/alerts?status=resolved",
            "/alerts/accepted",
            "/settings/keys",
            f"/settings/keys/{key.key_id}",
        ),
        *("/settings/team", "/settings/security", "/settings/security/second-factor"),
        *("/settings/audit", "/docs", "/domains/d0.test/mail", *reports),
        *("/domains/d0.test/records", "/domains/d0.test/records?result=fail&sourceIp=192.0.2.1"),
        *("/domains/d0.test/policy?p=reject", "/reports", "/reports/tls", "/reports/failure"),
        *("/reports/files", "/settings/reporting", "/settings/notifications", channel_path),
        *("/settings/mailboxes", mailbox_path),
        *("/settings/integrations", f"/settings/integrations/{ids.public('sink', sink_id)}"),
    ]


@pytest.mark.parametrize("ann", SHAPES, indirect=True, ids=lambda shape: f"{shape[0]}-{shape[1]}")
def test_every_page_is_accessible_and_free_of_errors(ann: Person) -> None:
    for path in paths(ann):
        page = ann.go(path)
        assert page.locator("h1").count() == 1, path
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        ann.assert_no_problems()


def test_hostile_values_are_shown_as_text(ann: Person) -> None:
    page = ann.go("/domains")
    assert page.get_by_text(HOSTILE[:50]).count() == 1
    assert page.locator("img[src=x]").count() == 0
    assert ann.problems == []


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_pages_before_sign_in_are_accessible_and_free_of_errors(
    chromium: Browser, service: Service, width: int, scheme: Literal["light", "dark"]
) -> None:
    viewport: ViewportSize = {"width": width, "height": 900}
    bob = open_person(chromium, service, viewport=viewport, color_scheme=scheme)
    for path in SIGNED_OUT:
        bob.go(path)
        bob.assert_no_problems()
    bob.context.close()


def test_every_page_of_the_dashboard_is_visited(ann: Person, app: Flask) -> None:
    addresses = app.url_map.bind("127.0.0.1")
    visited = {addresses.match(urlsplit(path).path)[0] for path in (*paths(ann), *SIGNED_OUT)}
    pages = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("web.") and "GET" in (rule.methods or ())
    }
    assert pages - visited == NOT_VISITED.keys()


def test_figures_of_a_chart_appear_under_the_pointer_and_with_the_keyboard(ann: Person) -> None:
    store_chart(ann)
    page = ann.go("/domains/d0.test/mail")
    columns = page.locator(".chart .column")
    expect(columns.last.locator(".tip")).to_be_hidden()
    columns.last.locator("[data-column] .slot").hover(position={"x": 1, "y": 1})
    expect(columns.last.locator(".tip")).to_be_visible()
    expect(columns.last.locator(".tip")).to_contain_text("Fail: 4")
    page.mouse.move(0, 0)
    page.locator(".chart-scroll").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    expect(columns.nth(-2).locator(".tip")).to_be_visible()
    expect(columns.last.locator(".tip")).to_be_hidden()
    ann.assert_no_problems()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("DMARC report records")
    expect(page.get_by_role("row")).to_have_count(3)


@pytest.mark.parametrize("ann", SHAPES, indirect=True, ids=lambda shape: f"{shape[0]}-{shape[1]}")
def test_charts_are_readable(ann: Person) -> None:
    store_chart(ann)
    page = ann.go("/domains/d0.test/mail")
    sizes = page.evaluate(
        """() => {
            const chart = document.querySelector(".chart");
            const scale = chart.getBoundingClientRect().width / chart.viewBox.baseVal.width;
            const size = parseFloat(getComputedStyle(chart.querySelector("text")).fontSize);
            return [size * scale, chart.getBoundingClientRect().height];
        }"""
    )
    assert sizes[0] >= 12
    assert sizes[1] >= 180
    ann.assert_no_problems()
