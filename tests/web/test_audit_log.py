"""Failed sign-ins, refused roles, exports and downloads are in the audit log."""

from flask import Flask
from sqlalchemy import select

from app.db.transactions import transaction
from app.models import Account, AuditEvent
from app.services.audit import refusals
from app.services.filing import processor
from app.services.ingest import files
from tests.support.api_client import make_client
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import make_domain
from tests.support.report_documents import dmarc_xml


def events(action: str) -> list[AuditEvent]:
    refusals.flush()
    with transaction(readonly=True) as session:
        named = select(AuditEvent).where(AuditEvent.action == action)
        return list(session.scalars(named.order_by(AuditEvent.id)))


def colleague(app: Flask, browser: Browser, role: str) -> Browser:
    """A signed-in user of the account of ``browser``."""
    with transaction(readonly=True) as session:
        account = session.get_one(Account, browser.account_id)
    made = make_browser(app, f"{role}@acme.test", role=role, account=account)
    made.sign_in()
    return made


def test_a_failed_sign_in_is_recorded(signed_out: Browser) -> None:
    signed_out.sign_in("not this one at all")
    (event,) = events("user.sign_in_failed")
    assert (event.actor, event.target) == ("anonymous", "ann@acme.test")
    assert event.address == "127.0.0.1"
    assert event.details["reason"] == "wrong password"


def test_failed_sign_in_with_unknown_email_is_not_recorded(app: Flask, signed_out: Browser) -> None:
    app.test_client().post("/auth/login", data={"email": "x@y.test", "password": "x"})
    assert events("user.sign_in_failed") == []


def test_form_refused_by_role_is_recorded(app: Flask, browser: Browser) -> None:
    viewer = colleague(app, browser, "viewer")
    assert viewer.post("/domains", name="acme.test").status_code == 403
    (event,) = events("user.role_refused")
    assert event.actor == "user:viewer@acme.test"
    assert event.target.startswith("domains.")


def test_refused_change_of_a_higher_role_is_recorded(app: Flask, browser: Browser) -> None:
    admin = colleague(app, browser, "admin")
    assert admin.post("/settings/team", email="x@y.test", role="owner").status_code == 400
    (event,) = events("user.role_refused")
    assert event.details["reason"] == "the role admin is not allowed to change the role owner"


def test_an_export_over_the_api_is_recorded(app: Flask, browser: Browser) -> None:
    client = make_client(app, browser.account_id)
    with client("GET", "/v1/reports/dmarc?format=csv&reporter=google.test") as response:
        assert response.status_code == 200
    (event,) = events("export.created")
    assert event.target == "dmarc-reports.csv"
    assert event.actor.startswith("key:")
    assert event.details["filters"]["reporter"] == "google.test"


def test_an_export_from_the_dashboard_is_recorded(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    path = "/domains/acme.test/records/file?format=csv&disposition=none"
    with browser.client.get(path) as response:
        assert response.status_code == 200
    (event,) = events("export.created")
    assert event.actor == "user:ann@acme.test"
    assert event.details["filters"] == {"disposition": "none"}


def test_downloads_of_files_are_recorded(app: Flask, browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    files.store(browser.account_id, dmarc_xml(), received_via="dashboard", file_name="a.xml")
    processor.run([])
    client = make_client(app, browser.account_id)
    (report,) = client.data("GET", "/v1/reports/dmarc")
    assert client("GET", f"/v1/reports/dmarc/{report['id']}/raw").data == dmarc_xml()
    assert browser.client.get(f"/reports/raw/{report['id']}").data == dmarc_xml()
    over_api, over_dashboard = events("report.downloaded")
    assert over_api.target == over_dashboard.target == report["id"]
    assert over_api.actor.startswith("key:")
    assert over_dashboard.actor == "user:ann@acme.test"


def test_the_audit_log_shows_refusals_at_once(browser: Browser) -> None:
    browser.sign_in("not this one at all")
    assert "user.sign_in_failed" in browser.get("/settings/audit")
