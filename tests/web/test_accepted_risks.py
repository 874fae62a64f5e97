"""Accepted risks in the dashboard: accepted with an end date, owner and reason, and revoked."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from app import ids
from app.db.transactions import transaction
from app.models import Account, Alert
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertFilter
from app.services.audit import entries
from app.services.audit.entries import AuditFilter
from app.services.monitoring import account_monitor
from tests.support.api_scans import BAD
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import ACTOR

WORSE = {name: values for name, values in BAD.items() if name != "_dmarc.acme.test"}
SOON = datetime.now(UTC) + timedelta(days=40)
FORM = {"acceptedUntil": f"{SOON:%Y-%m-%d}", "riskOwner": "Ada <CISO>", "note": "we retire it"}


def alert_of(browser: Browser, type: str = "spf.multiple_records") -> str:
    rows, _ = alerts.listing(browser.account_id, AlertFilter(type=type)).page(None, 50)
    return ids.public("alert", rows[0].id)


def found(browser: Browser, alert: str) -> Alert:
    alert_id = ids.parse("alert", alert)
    assert alert_id is not None
    return alerts.find(browser.account_id, alert_id)


@pytest.fixture
def scanned(browser: Browser) -> Browser:
    """A user whose domain has at least two alerts of findings."""
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    run_queued_scans(browser, WORSE)
    return browser


@pytest.fixture
def alert(scanned: Browser) -> str:
    """An alert of a finding."""
    return alert_of(scanned)


@pytest.fixture
def accepted(scanned: Browser, alert: str) -> str:
    """An alert whose risk is accepted."""
    response = scanned.post(f"/alerts/{alert}/accept", **FORM)
    assert response.headers["Location"] == f"/alerts/{alert}"
    return alert


def test_domain_page_links_to_the_acceptance_form_of_a_finding(
    scanned: Browser, alert: str
) -> None:
    page = scanned.get("/domains/acme.test")
    assert f'href="/alerts/{alert}?accept=1#accept"' in page
    page = scanned.get(f"/alerts/{alert}?accept=1")
    assert '<details class="ask" id="accept" open>' in page
    assert re.search(rf'name="riskOwner"[^>]* value="{re.escape(scanned.user.email)}"', page)


def test_accepted_risk_is_shown_on_every_page_of_its_alert(scanned: Browser, accepted: str) -> None:
    until = FORM["acceptedUntil"]
    alert = found(scanned, accepted)
    assert (alert.status, alert.risk_owner) == ("dismissed", "Ada <CISO>")
    assert alert.accepted_until == datetime.fromisoformat(until).replace(tzinfo=UTC)
    notice = f"The risk is accepted until {until}"
    assert notice in scanned.get(f"/alerts/{accepted}")
    page = scanned.get("/domains/acme.test")
    assert f"{notice} UTC. Risk owner: Ada &lt;CISO&gt;." in page
    assert "Accepted risks" in page
    assert f"Accepted until {until} UTC, risk owner Ada" in scanned.get("/alerts?status=dismissed")
    listed = scanned.get("/alerts/accepted")
    for text in (f"/alerts/{accepted}", until, "Ada &lt;CISO&gt;", "we retire it", "ann@acme.test"):
        assert text in listed


def test_audit_log_records_an_acceptance(scanned: Browser, accepted: str) -> None:
    events, _ = entries.search(scanned.account_id, AuditFilter(action="alert."))
    (event,) = events
    assert (event.actor, event.target) == ("user:ann@acme.test", accepted)
    assert event.details["risk_owner"] == "Ada <CISO>"
    assert event.details["accepted_until"].startswith(FORM["acceptedUntil"])
    assert event.details["note"] == "we retire it"


def test_acceptance_survives_a_scan_and_can_be_revoked(scanned: Browser, accepted: str) -> None:
    scanned.post("/domains/acme.test/scan")
    run_queued_scans(scanned, WORSE)
    assert found(scanned, accepted).accepted_until is not None
    response = scanned.post(f"/alerts/{accepted}", status="open", back="/alerts/accepted")
    assert response.headers["Location"] == "/alerts/accepted"
    alert = found(scanned, accepted)
    assert (alert.status, alert.accepted_until, alert.risk_owner) == ("open", None, None)
    assert "No accepted risks" in scanned.get("/alerts/accepted")
    assert accepted in scanned.get("/alerts")


def test_expiring_acceptance_links_to_its_renewal(scanned: Browser, accepted: str) -> None:
    with transaction() as session:
        soon = datetime.now(UTC) + timedelta(days=3)
        session.execute(
            update(Alert).where(Alert.accepted_until.is_not(None)).values(accepted_until=soon)
        )
    account_monitor.check_accepted_risks()
    page = scanned.get(f"/alerts/{alert_of(scanned, 'acceptance.expiring')}")
    assert f'href="/alerts/{accepted}">Review this risk' in page
    assert "Renew acceptance…" in scanned.get(f"/alerts/{accepted}")
    scanned.post(f"/alerts/{accepted}/accept", **FORM)
    account_monitor.check_accepted_risks()
    assert "Review this risk" not in scanned.get("/alerts")


def test_acceptances_are_sorted_by_end_date(scanned: Browser, accepted: str) -> None:
    other = alert_of(scanned, "dmarc.missing")
    sooner = {**FORM, "acceptedUntil": f"{SOON - timedelta(days=9):%Y-%m-%d}", "note": "later"}
    scanned.post(f"/alerts/{other}/accept", **sooner)
    page = scanned.get("/alerts/accepted")
    assert page.index(other) < page.index(accepted)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("acceptedUntil", ""), ("acceptedUntil", "soon"), ("acceptedUntil", "2020-01-01")),
        *(("acceptedUntil", "2026-02-30"), ("riskOwner", " "), ("riskOwner", "x" * 201)),
        *(("note", ""), ("note", "x" * 1001)),
    ],
)
def test_invalid_acceptance_shows_an_error_next_to_the_field(
    scanned: Browser, alert: str, field: str, value: str
) -> None:
    response = scanned.post(f"/alerts/{alert}/accept", **{**FORM, field: value})
    assert response.status_code == 400
    assert f'id="error-{field}"' in response.text
    assert '<details class="ask" id="accept" open>' in response.text
    entered = {"note": "we retire it", "riskOwner": "Ada &lt;CISO&gt;"}
    assert all(text in response.text for name, text in entered.items() if name != field)
    assert found(scanned, alert).status == "open"


def test_risk_of_a_resolved_alert_cannot_be_accepted(scanned: Browser, alert: str) -> None:
    scanned.post("/domains/acme.test/scan")
    run_queued_scans(scanned, {"acme.test": ["v=spf1 -all"]})
    assert found(scanned, alert).status == "resolved"
    assert "Accept risk" not in scanned.get(f"/alerts/{alert}")
    assert scanned.post(f"/alerts/{alert}/accept", **FORM).status_code == 400


def test_viewer_sees_accepted_risks_and_cannot_change_them(
    app: Flask, scanned: Browser, accepted: str
) -> None:
    with transaction(readonly=True) as session:
        account = session.get_one(Account, scanned.account_id)
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    assert "we retire it" in viewer.get("/alerts/accepted")
    for path in ("/alerts/accepted", f"/alerts/{accepted}", "/domains/acme.test"):
        page = viewer.get(path)
        assert "Revoke" not in page
        assert "Accept risk" not in page
    for path in (f"/alerts/{accepted}/accept", f"/alerts/{accepted}"):
        assert viewer.post(path, status="open", **FORM).status_code == 403


def test_accepted_risks_of_another_account_are_not_found(
    scanned: Browser, stranger: Browser, accepted: str
) -> None:
    assert "No accepted risks" in stranger.get("/alerts/accepted")
    assert stranger.post(f"/alerts/{accepted}/accept", **FORM).status_code == 404
    wrong = {**FORM, "note": ""}
    assert stranger.post(f"/alerts/{accepted}/accept", **wrong).status_code == 404
    assert stranger.post("/alerts/nonsense/accept", **FORM).status_code == 404


def test_accepted_risks_are_paginated(scanned: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.views.alerts.PAGE", 1)
    for type in ("spf.multiple_records", "dmarc.missing"):
        alerts.change(
            scanned.account_id,
            found(scanned, alert_of(scanned, type)).id,
            alerts.AlertChange(
                status="dismissed",
                note=type,
                snoozed_until=None,
                accepted_until=SOON,
                risk_owner="Ada",
            ),
            actor=ACTOR,
        )
    page = scanned.get("/alerts/accepted")
    following = page.partition('href="/alerts/accepted?cursor=')[2].partition('"')[0]
    other = scanned.get(f"/alerts/accepted?cursor={following}")
    assert ("dmarc.missing" in page) != ("dmarc.missing" in other)
    assert "Next page" not in other
