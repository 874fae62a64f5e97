"""Every page of the dashboard in a real browser: wide and narrow, light and dark."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser
from sqlalchemy import update

from app import ids
from app.db.transactions import transaction
from app.mailboxes.imap import ImapConfig
from app.models import RecordSink, ReportMailbox
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.api_keys import usage
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter
from app.services.mailboxes import mailboxes
from app.services.scans import scans
from app.sinks.registry import SINK_TYPES
from tests.e2e.browser import Person, open_person
from tests.e2e.service import Service, wait_for
from tests.support.factories import ACTOR, add_email_channel, make_key
from tests.support.forwarding_sinks import add_sink
from tests.support.report_documents import dmarc_xml, failure_mail, tls_json

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

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
    rows, _ = alerts.listing(person.account_id, AlertFilter()).page(None, 50)
    change = AlertChange(
        status="dismissed",
        note=HOSTILE,
        accepted_until=datetime(2199, 1, 1, tzinfo=UTC),
        risk_owner=HOSTILE,
    )
    alerts.change(person.account_id, rows[-1].id, change, actor=HOSTILE)
    return [
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
        *("/domains/d0.test/tls-records", "/domains/d0.test/tls-records?resultType=x&hasMx=false"),
        *("/domains/d0.test/policy?p=reject", "/reports", "/reports/tls", "/reports/failure"),
        *("/reports/files", "/settings/reporting", "/settings/notifications", channel_path),
        *("/settings/mailboxes", mailbox_path),
        *("/settings/integrations", f"/settings/integrations/{ids.public('sink', sink_id)}"),
        *(f"/settings/integrations/add/{name}" for name in SINK_TYPES),
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


def test_login_page_is_accessible_and_free_of_errors(chromium: Browser, service: Service) -> None:
    bob = open_person(chromium, service)
    bob.go("/auth/login")
    bob.assert_no_problems()
    bob.context.close()
