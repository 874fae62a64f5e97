"""Sinks in the dashboard, against a real receiver."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app import ids
from app.db.transactions import transaction
from app.models import AuditEvent, RecordSink
from app.services.accounts import accounts
from app.services.forwarding import forwarding, sinks
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import make_domain
from tests.support.receivers import LoopbackNetwork, Receiver, receiving
from tests.support.record_receivers import TOKEN, EventCollector
from tests.support.report_documents import dmarc_xml
from tests.support.stored_records import DOMAIN, store_reports

PAGE = "/settings/integrations"


@pytest.fixture
def receiver(app: Flask, tmp_path: Path) -> Any:
    app.extensions["network"] = LoopbackNetwork()
    with receiving(tmp_path) as started:
        yield started


@pytest.fixture
def form(receiver: Receiver) -> dict[str, Any]:
    return {
        "sink_name": "Splunk <prod>",
        "url": receiver.url.removesuffix("/hook"),
        "token": TOKEN,
        "index": "",
        "ca_certificates": receiver.ca_file.read_text().replace("\n", "\r\n"),
        "record_kinds": ["dmarc_record", "alert"],
        "start": "all",
    }


def add(browser: Browser, form: dict[str, Any], type: str = "splunk") -> RecordSink:
    response = browser.post(f"{PAGE}/add/{type}", **form)
    assert response.status_code == 303, response.text
    [row] = sinks.search(browser.account_id)
    return row


def path(row: RecordSink) -> str:
    return f"{PAGE}/{ids.public('sink', row.id)}"


def test_sink_is_added_tested_and_shown_without_its_secret(
    browser: Browser, form: dict[str, Any], receiver: Receiver
) -> None:
    make_domain(browser.account_id, DOMAIN)
    collector = EventCollector(receiver)
    row = add(browser, form)
    assert row.record_kinds == ["dmarc_record", "alert"]
    response = browser.post(f"{path(row)}/test")
    assert response.status_code == 303
    assert "accepted the test record" in browser.get(response.headers["Location"])
    (event,) = collector.events
    assert event["event"]["kind"] == "test"
    store_reports(browser.account_id, dmarc_xml())
    assert "Oldest waiting record" in browser.get(path(row))
    forwarding.run(LoopbackNetwork())
    page = browser.get(path(row))
    assert "Splunk &lt;prod&gt;" in page
    assert TOKEN not in page
    assert "<dd>none</dd>" in page
    assert "Splunk &lt;prod&gt;" in browser.get(PAGE)


def test_failed_test_and_skipped_records_are_shown(
    browser: Browser, form: dict[str, Any], receiver: Receiver
) -> None:
    row = add(browser, {**form, "token": "wrong"})
    EventCollector(receiver)
    response = browser.post(f"{path(row)}/test")
    assert response.status_code == 400
    assert "The test failed: the endpoint returned 403" in response.text
    with transaction() as session:
        stored = session.get_one(RecordSink, row.id)
        stored.skipped, stored.skipped_count = {"dmr_x-1": "<b>refused</b>"}, 30
    page = browser.get(path(row))
    assert "&lt;b&gt;refused" in page
    assert "The last 1 are shown" in page


def test_secret_of_a_webhook_is_shown_once(browser: Browser, form: dict[str, Any]) -> None:
    values = {name: value for name, value in form.items() if name not in ("token", "index")}
    response = browser.post(f"{PAGE}/add/webhook", **values)
    page = browser.get(response.headers["Location"])
    assert "whsec_" in page
    assert "whsec_" not in browser.client.get(response.headers["Location"]).text


def test_sink_is_edited_paused_resumed_skipped_and_deleted(
    browser: Browser, form: dict[str, Any]
) -> None:
    row = add(browser, form)
    changed = {**form, "token": "", "index": "mail", "sink_name": "Other"}
    assert browser.post(path(row), **changed).status_code == 303
    row = sinks.find(browser.account_id, row.id)
    assert (row.name, row.options["index"]) == ("Other", "mail")
    assert sinks.config_of(row).secrets() == {"token": TOKEN}
    moved = browser.post(path(row), **{**changed, "url": "https://elsewhere.test"})
    assert moved.status_code == 400
    assert "Enter it again, because this has changed: URL" in moved.text
    for act in ("pause", "resume", "skip"):
        assert browser.post(f"{path(row)}/{act}").status_code == 303
    assert browser.post(f"{path(row)}/remove", confirm="Other").status_code == 303
    assert sinks.search(browser.account_id) == []
    with transaction(readonly=True) as session:
        actions = set(session.scalars(select(AuditEvent.action)))
        details = str(session.scalars(select(AuditEvent.details)).all())
    acts = ("added", "changed", "paused", "resumed", "skipped", "removed")
    assert {f"sink.{act}" for act in acts} <= actions
    assert TOKEN not in details


@pytest.mark.parametrize(
    ("type", "changed", "message"),
    [
        ("splunk", {"url": "http://x.test"}, "must begin with https"),
        ("splunk", {"token": ""}, "Enter 1 to 100 printable characters"),
        ("syslog", {"host": "10.0.0.1", "transport": "tls", "facility": "16"}, "IP address"),
        ("bulk", {"index": "X", "operation": "index", "authentication": "none"}, "lowercase"),
    ],
)
def test_invalid_form_says_what_is_wrong(
    browser: Browser, form: dict[str, Any], type: str, changed: dict[str, str], message: str
) -> None:
    response = browser.post(f"{PAGE}/add/{type}", **{**form, **changed})
    assert response.status_code == 400
    assert message in response.text
    assert sinks.search(browser.account_id) == []


def test_another_account_and_unknown_ids_are_not_found(
    browser: Browser, stranger: Browser, form: dict[str, Any]
) -> None:
    row = add(browser, form)
    for page in (path(row), f"{PAGE}/sink_x", f"{PAGE}/add/mqtt"):
        assert stranger.client.get(page).status_code == 404
    for action in ("", "/test", "/pause", "/resume", "/skip", "/remove"):
        assert stranger.post(path(row) + action, **form).status_code == 404, action


def test_viewer_sees_the_status_and_no_forms(
    app: Flask, browser: Browser, form: dict[str, Any]
) -> None:
    row = add(browser, form)
    account = accounts.find(ids.public("acc", browser.account_id))
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    for page in (path(row), f"{PAGE}/add/splunk"):
        assert 'name="token"' not in viewer.get(page)
    assert viewer.post(f"{PAGE}/add/splunk", **form).status_code == 403
