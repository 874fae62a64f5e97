"""Notices: every form says what it has changed, and offers to undo what can be undone."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app import ids
from app.db.transactions import transaction
from app.models import Alert, AuditEvent
from app.models.senders import SourceDecision
from app.services.alerts import accepted_risks, alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.core import domain_lookup
from app.services.filing import processor
from app.services.ingest import files
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import make_domain, make_key
from tests.support.report_documents import dmarc_xml

NOTICE = re.compile(r'<div class="note (\w+) between" role="status"><span>([^<]*)</span>')
UNDO = re.compile(r'action="(/undo/[0-9a-f]{64})"')
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


@pytest.fixture
def scanned(browser: Browser) -> Browser:
    """A user with a domain that has alerts."""
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    run_queued_scans(browser)
    return browser


def notice(page: str) -> str:
    """The notice on the page."""
    match = NOTICE.search(page)
    assert match is not None, page
    return match[2]


def some_alerts(browser: Browser) -> list[str]:
    """The ids of two open alerts."""
    rows, _ = alerts.listing(browser.account_id, AlertFilter(status="open")).page(None, 50)
    return [ids.public("alert", row.id) for row in rows[:2]]


def states(browser: Browser, alert_ids: list[str]) -> list[tuple[object, ...]]:
    with transaction(readonly=True) as session:
        rows = session.scalars(select(Alert).order_by(Alert.id)).all()
    return [
        (row.status, row.snoozed_until, row.accepted_until, row.risk_owner)
        for row in rows
        if ids.public("alert", row.id) in alert_ids
    ]


def undo(browser: Browser, page: str) -> str:
    """Press the button Undo in the notice of the page."""
    match = UNDO.search(page)
    assert match is not None, page
    return browser.submit(match[1])


def test_a_notice_is_shown_once(browser: Browser) -> None:
    response = browser.post("/domains", name="acme.test", usage="sends-and-receives")
    page = browser.get(response.headers["Location"])
    assert notice(page) == "acme.test was added. Its first scan is running."
    assert NOTICE.search(browser.get(response.headers["Location"])) is None


def test_a_request_of_a_script_leaves_the_notice_to_the_next_page(browser: Browser) -> None:
    url = browser.post("/settings/reporting").headers["Location"]
    script = browser.client.get(url, headers={"Sec-Fetch-Dest": "empty"})
    assert NOTICE.search(script.text) is None
    assert notice(browser.get(url)) == "A report address was created."


@pytest.mark.parametrize("value", ["", "x", "eyJtZXNzYWdlIjoieCJ9.00", "."])
def test_a_forged_notice_is_not_shown(browser: Browser, value: str) -> None:
    browser.client.set_cookie("notice", value)
    assert NOTICE.search(browser.get("/domains")) is None


def test_a_notice_cannot_inject_markup(browser: Browser) -> None:
    page = browser.submit("/settings/upload-tokens", name="<b>x</b>")
    assert "<b>x</b>" not in page
    assert "The upload token &lt;b&gt;x&lt;/b&gt; was created." in page


@pytest.mark.parametrize(
    ("status", "word"),
    [("acknowledged", "acknowledged"), ("dismissed", "dismissed"), ("snoozed", "snoozed")],
)
def test_changed_alerts_are_counted_and_restored(scanned: Browser, status: str, word: str) -> None:
    chosen = some_alerts(scanned)
    before = states(scanned, chosen)
    page = scanned.submit("/alerts/batch", id=chosen, status=status, days="7")
    assert notice(page) == f"2 alerts {word}."
    assert {state[0] for state in states(scanned, chosen)} == {status}
    assert notice(undo(scanned, page)) == "Undone: 2 alerts restored."
    assert states(scanned, chosen) == before
    with transaction(readonly=True) as session:
        changes = session.scalars(
            select(AuditEvent.details).where(AuditEvent.action == "alert.changed")
        ).all()
    assert sorted(change["status"] for change in changes) == sorted(
        [status, status, "open", "open"]
    )


def test_undo_restores_an_accepted_risk_with_its_reason(scanned: Browser) -> None:
    [chosen, _] = some_alerts(scanned)
    form = {"acceptedUntil": f"{SOON:%Y-%m-%d}", "riskOwner": "Ann", "note": "old system"}
    assert "until the acceptance" in notice(scanned.submit(f"/alerts/{chosen}/accept", **form))
    before = states(scanned, [chosen])
    page = scanned.submit(f"/alerts/{chosen}", status="open")
    undo(scanned, page)
    assert states(scanned, [chosen]) == before
    [acceptance], _ = accepted_risks.search(scanned.account_id)
    assert acceptance.reason == "old system"


def test_a_change_is_undone_once(scanned: Browser) -> None:
    page = scanned.submit(f"/alerts/{some_alerts(scanned)[0]}", status="acknowledged")
    undo(scanned, page)
    assert notice(undo(scanned, page)) == "This change was already undone."


def test_undo_keeps_a_later_change_by_someone_else(scanned: Browser) -> None:
    [chosen, _] = some_alerts(scanned)
    page = scanned.submit(f"/alerts/{chosen}", status="acknowledged")
    alert_id = ids.parse("alert", chosen)
    assert alert_id is not None
    alerts.change(scanned.account_id, alert_id, AlertChange("dismissed"), actor="user:bob")
    assert "have changed since" in notice(undo(scanned, page))
    assert states(scanned, [chosen])[0][0] == "dismissed"


def test_only_the_session_that_made_a_change_can_undo_it(
    scanned: Browser, stranger: Browser
) -> None:
    page = scanned.submit(f"/alerts/{some_alerts(scanned)[0]}", status="acknowledged")
    match = UNDO.search(page)
    assert match is not None
    assert stranger.post(match[1]).status_code == 404


def test_undo_restores_the_classification_of_a_source(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    files.store(browser.account_id, dmarc_xml("acme.test"), received_via="upload")
    processor.run([])
    mail = browser.get("/domains/acme.test/mail")
    source = re.search(r'name="source" value="([^"]+)"', mail)
    assert source is not None
    path, form = "/domains/acme.test/sources", {"source": source[1]}
    browser.submit(path, state="approved", note="ours", **form)
    page = browser.submit(path, state="blocked", note="", **form)
    assert "was saved: Blocked." in notice(page)
    assert notice(undo(browser, page)) == f"Undone: the classification of {source[1]}."
    with transaction(readonly=True) as session:
        decision = session.scalars(select(SourceDecision)).one()
    assert (decision.decision, decision.note) == ("approved", "ours")


def test_a_domain_and_a_key_are_deleted_only_with_their_name(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    key, _ = make_key(browser.account_id)
    for path, name in (
        ("/domains/acme.test/delete", "acme.test"),
        (f"/settings/keys/{key.key_id}/revoke", key.name),
    ):
        for entered in ("", "other"):
            assert notice(browser.submit(path, confirm=entered)).startswith(f"Enter {name} to ")
    assert domain_lookup.find(browser.account_id, "acme.test").name == "acme.test"
    page = browser.submit("/domains/acme.test/delete", confirm=" ACME.test ")
    assert notice(page) == "acme.test and its data were deleted."
    browser.get("/domains/acme.test", 404)


def test_signing_out_says_so(browser: Browser) -> None:
    assert notice(browser.submit("/auth/logout")) == "You are signed out."
