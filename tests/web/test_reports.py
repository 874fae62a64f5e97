"""Reports in the dashboard: uploaded, listed and shown, with hostile values escaped."""

import html
import io
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from app import settings as app_settings
from app.db.transactions import transaction
from app.models import Account, ReportFile
from app.services.audit import audit_log
from app.services.domain_status import mail_figures
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter
from app.services.rollups import rollup_queue
from app.settings import Settings
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import ACTOR, make_domain
from tests.support.report_documents import dmarc_xml, failure_mail, record, tls_json

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def upload(browser: Browser, *files: tuple[str, bytes]) -> TestResponse:
    form: dict[str, Any] = {
        "csrf": browser.csrf(),
        "file": [FileStorage(io.BytesIO(raw), filename=name) for name, raw in files],
    }
    boundary, body = encode_multipart(form)  # at once: the client would leave a file open
    kind = f"multipart/form-data; boundary={boundary}"
    response = browser.client.post("/reports/files", data=body, content_type=kind)
    processor.run([])
    return response


def read_by_earlier_version() -> None:
    with transaction() as session:
        session.execute(update(ReportFile).values(parser_version=1))


def link(page: str, pattern: str) -> str:
    match = re.search(f'href="({pattern})"', page)
    assert match is not None, pattern
    return match[1].replace("&amp;", "&")


@pytest.fixture
def owner(browser: Browser) -> Browser:
    """A user who monitors acme.test."""
    make_domain(browser.account_id, "acme.test")
    return browser


def test_files_are_uploaded_processed_and_listed(owner: Browser) -> None:
    response = upload(owner, ("a.xml", dmarc_xml()), ("b.json", tls_json()), ("c.txt", b"what?"))
    assert response.headers["Location"] == "/reports/files"
    page = owner.get("/reports/files")
    assert "3 files uploaded" in page
    assert page.count('class="mark parsed"') == 2
    assert 'class="mark rejected"' in page
    assert "a.xml" in owner.get("/reports/files?status=parsed")
    assert "a.xml" not in owner.get("/reports/files?status=rejected")


def test_uploading_the_same_file_again_shows_a_duplicate(owner: Browser) -> None:
    upload(owner, ("a.xml", dmarc_xml()))
    response = upload(owner, ("b.xml", dmarc_xml()))
    assert response.headers["Location"] == "/reports/files"


def test_page_polls_until_files_are_processed(owner: Browser) -> None:
    ingest_files.store(owner.account_id, dmarc_xml(), received_via="dashboard")
    assert 'hx-trigger="every 2s"' in owner.get("/reports/files")
    processor.run([])
    assert "hx-trigger" not in owner.get("/reports/files")


def test_file_above_the_size_limit_is_refused(owner: Browser, settings: Settings) -> None:
    app_settings.use(settings.replace(ingest_max_bytes=1000))
    assert upload(owner, ("a.xml", b"x" * 1001)).status_code == 413
    assert upload(owner, ("a.xml", b"x" * 20_000)).status_code == 413
    assert upload(owner).status_code == 400


def test_upload_limit_is_larger_than_the_limit_of_other_forms(owner: Browser) -> None:
    raw = dmarc_xml(records=[record()] * 5_000)
    assert len(raw) > app_settings.current().max_content_length
    assert upload(owner, ("big.xml", raw)).status_code == 303
    assert "5,000" in owner.get("/reports")


def test_an_aggregate_report_shows_its_records(owner: Browser) -> None:
    upload(owner, ("a.xml", dmarc_xml()))
    path = link(owner.get("/reports"), "/reports/dmarc/dmr_[0-9a-z]+")
    page = owner.get(path)
    assert "<code>192.0.2.1</code>" in page
    assert "No records with this result" in owner.get(f"{path}?result=fail")
    assert "192.0.2.1" in owner.get(f"{path}?result=pass")


def test_report_shows_its_skipped_records_and_other_deviations(owner: Browser) -> None:
    records = [record(), record(ip="mail.acme.test", count=5)]
    document = dmarc_xml(records=records).replace(b"<p>reject</p>", b"<p/>")
    upload(owner, ("a.xml", document.replace(b"<email>noreply@receiver.test</email>", b"")))
    page = owner.get(link(owner.get("/reports"), "/reports/dmarc/dmr_[0-9a-z]+"))
    assert "<dt>Messages</dt><dd>3</dd>" in page
    assert "Records that cannot be read were skipped" in page
    assert "The report has no email address of the reporter." in page


def test_report_without_records_is_shown(owner: Browser) -> None:
    document = re.sub(rb"<record>.*</record>", b"", dmarc_xml(), flags=re.DOTALL)
    upload(owner, ("a.xml", document))
    page = owner.get(link(owner.get("/reports"), "/reports/dmarc/dmr_[0-9a-z]+"))
    assert "<dt>Messages</dt><dd>0</dd>" in page
    for path in (
        "/",
        "/domains/acme.test",
        "/domains/acme.test/mail",
        "/domains/acme.test/records",
    ):
        assert owner.client.get(path).status_code == 200, path


def test_report_lists_are_filtered(owner: Browser) -> None:
    upload(owner, ("a.xml", dmarc_xml()), ("b.json", tls_json()))
    for path in ("/reports", "/reports/tls"):
        assert "acme.test" in owner.get(f"{path}?domain=acme.test")
        for query in (
            "domain=other.test",
            "from=2199-01-01",
            "to=2001-01-01",
            "reporter=unknown.test",
        ):
            assert "<tbody" not in owner.get(f"{path}?{query}"), query
    assert "<tbody" not in owner.get("/reports?result=fail")
    assert "<tbody" in owner.get("/reports?result=pass&from=x&to=9999-99-99")


def test_tls_report_shows_its_failures(owner: Browser) -> None:
    upload(owner, ("b.json", tls_json()))
    page = owner.get(link(owner.get("/reports/tls"), "/reports/tls/tlr_[0-9a-z]+"))
    assert "Successful sessions" in page


def test_partial_reports_are_marked_and_explained(owner: Browser) -> None:
    odd = record(ip="none", count=6)
    partial = dmarc_xml(report_id="p", records=[record(count=4), odd, record(count="many")])
    complete = dmarc_xml(report_id="c", org="other.test")
    upload(owner, ("a.xml", partial), ("b.xml", complete))
    page = owner.get("/reports")
    assert page.count("Partial</span>") == 1
    report = link(owner.get("/reports?partial=true"), "/reports/dmarc/dmr_[a-z0-9]+")
    assert "other.test" not in owner.get("/reports?partial=true")
    assert "Partial</span>" not in owner.get("/reports?partial=false")
    text = " ".join(owner.get(report).split())
    assert "2 records could not be read." in text
    assert "1 record: the source address is not an IP address." in text
    assert "1 record: a number is not valid." in text
    assert "They have 6 messages, as far as the counts can be read." in text
    for path in ("mail", "policy"):
        page = owner.get(f"/domains/acme.test/{path}")
        assert "1 report</a> could only be read in part." in page
    file_id = re.search(r'name="id" value="(file_[a-z0-9]+)"', owner.get(report))
    assert file_id is not None
    refused = owner.post("/reports/files/retry", id=file_id[1])
    assert (refused.status_code, "Nothing has changed" in refused.text) == (400, True)
    read_by_earlier_version()
    assert owner.post("/reports/files/retry", id=file_id[1]).status_code == 303
    processor.run([])
    assert "2 records could not be read." in owner.get(report)
    complete_page = owner.get(
        link(owner.get("/reports?partial=false"), "/reports/dmarc/dmr_[a-z0-9]+")
    )
    assert "could not be read" not in complete_page


def test_partial_tls_reports_are_marked_and_explained(owner: Browser) -> None:
    odd = b'"failed-session-count": "2 or 3"'
    upload(owner, ("a.json", tls_json().replace(b'"failed-session-count": 2', odd)))
    page = owner.get("/reports/tls?partial=true")
    assert "Partial</span>" in page
    text = owner.get(link(page, "/reports/tls/tlr_[a-z0-9]+"))
    assert "1 policy or failure could not be read." in text
    assert "1 policy or failure: a number is not valid." in text
    assert "The number of their sessions is not known." in text
    assert "1 report</a> could only be read in part." in owner.get("/domains/acme.test/mail")
    assert "No matching reports" in owner.get("/reports/tls?partial=false")


def test_failure_report_is_shown_without_private_data(owner: Browser) -> None:
    upload(owner, ("c.eml", failure_mail()))
    page = owner.get(link(owner.get("/reports/failure"), "/reports/failure/flr_[0-9a-z]+"))
    assert "Message bodies are not stored" in page


def test_report_file_is_downloaded_unchanged_and_never_rendered(owner: Browser) -> None:
    upload(owner, ("a.xml", dmarc_xml()))
    path = link(owner.get("/reports"), "/reports/dmarc/dmr_[0-9a-z]+")
    raw = path.replace("/dmarc/", "/raw/")
    response = owner.client.get(raw)
    assert response.data == dmarc_xml()
    assert response.mimetype == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_hostile_report_values_are_escaped(owner: Browser) -> None:
    upload(owner, (f"{HOSTILE}.xml", dmarc_xml(org=HOSTILE.replace("<", "&lt;"))))
    page = owner.get("/reports")
    for shown in (
        page,
        owner.get("/reports/files"),
        owner.get(link(page, '/reports/dmarc/[^"]+')),
    ):
        assert "<script>" not in shown
        assert "<img src=x" not in shown
        assert "&lt;script&gt;alert(1)" in shown


def test_reports_of_another_account_are_not_found(owner: Browser, stranger: Browser) -> None:
    upload(owner, ("a.xml", dmarc_xml()), ("c.txt", b"what?"))
    path = link(owner.get("/reports"), "/reports/dmarc/dmr_[0-9a-z]+")
    stranger.get(path, 404)
    stranger.get(path.replace("/dmarc/", "/raw/"), 404)
    assert "<tbody" not in stranger.get("/reports")
    assert "c.txt" not in stranger.get("/reports/files")
    match = re.search(r'name="id" value="(file_\w+)"', owner.get("/reports/files"))
    assert match is not None
    read_by_earlier_version()
    assert stranger.post("/reports/files/retry", id=match[1]).status_code == 404
    stranger.get(f"/reports/files/{match[1]}", 404)
    rows, _ = ingest_files.search(owner.account_id, ReportFileFilter(status="received")).page(
        None, 9
    )
    assert rows == []


def test_rejected_file_is_retried_and_audited(owner: Browser) -> None:
    upload(owner, ("c.txt", b"what?"))
    read_by_earlier_version()
    page = owner.get("/reports/files")
    reason = re.search(r'name="reason" value="(\w+)"', page)
    assert reason is not None
    owner.post("/reports/files/retry", reason=reason[1])
    assert 'class="mark received"' in owner.get("/reports/files")
    assert "report_file.retried" in owner.get("/settings/audit?about=report_file.")
    assert owner.post("/reports/files/retry").status_code == 400


def test_report_address_is_created_rotated_and_revoked(owner: Browser) -> None:
    owner.post("/settings/reporting")
    (first,) = tokens.search(owner.account_id)
    page = owner.get("/settings/reporting")
    assert tokens.address(first.token) in page
    assert "_smtp._tls.acme.test" in page
    owner.post(f"/settings/reporting/{first.token}/rotate", overlap="30")
    second, _ = tokens.search(owner.account_id)
    page = owner.get("/settings/reporting")
    assert tokens.address(second.token) in page
    assert 'class="mark expiring"' in page
    owner.post(f"/settings/reporting/{first.token}/revoke")
    assert tokens.resolve(first.token) is None
    assert owner.post(f"/settings/reporting/{second.token}/rotate", overlap="1").status_code == 400


def test_former_path_of_report_addresses_redirects_permanently(owner: Browser) -> None:
    response = owner.client.get("/settings/intake?domain=acme.test")
    assert response.status_code == 308
    assert response.location == "/settings/reporting?domain=acme.test"


def test_audit_filter_includes_actions_with_the_former_name(owner: Browser) -> None:
    with transaction() as session:
        audit_log.record(
            session, owner.account_id, actor="system", action="intake.retried", target="file_x"
        )
    assert "intake.retried" in owner.get("/settings/audit?about=report_file.")


def test_report_address_of_another_account_is_not_found(owner: Browser, stranger: Browser) -> None:
    token = tokens.create(owner.account_id, actor=ACTOR).token
    for act in ("rotate", "revoke"):
        path = f"/settings/reporting/{token}/{act}"
        assert stranger.post(path, overlap="7").status_code == 404
    assert token not in stranger.get("/settings/reporting")
    assert "in this account" not in stranger.get("/settings/reporting?domain=acme.test")


def test_overview_shows_the_email_of_thirty_days(owner: Browser) -> None:
    assert "Email by DMARC result, last 30 days" not in owner.get("/")
    upload(owner, ("a.xml", dmarc_xml()))
    rollup_queue.drain()
    mail_figures.refresh()
    page = owner.get("/")
    assert "Email by DMARC result, last 30 days" in page
    days = set(re.findall(r'href="(/reports\?from=([0-9-]+)&amp;to=\2)"', page))
    [(url, _)] = days  # the day of the report
    assert "receiver.test" in owner.get(html.unescape(url))


def test_conflict_is_shown_and_resolved(owner: Browser, stranger: Browser) -> None:
    for count in (50, 70):
        ingest_files.store(
            owner.account_id, dmarc_xml(records=[record(count=count)]), received_via="dashboard"
        )
    processor.run([])
    page = owner.get("/reports/files?status=conflict")
    assert "1 conflicting report." in page
    match = re.search(r'name="id" value="(file_\w+)"', page)
    assert match is not None
    report = re.search(r'href="(/reports/dmarc/dmr_\w+)"', page)
    assert report is not None
    assert "Another report contradicts this one" in owner.get(report[1])
    assert stranger.post("/reports/files/use", id=match[1]).status_code == 404
    assert owner.post("/reports/files/use", id=match[1]).status_code == 303
    assert owner.post("/reports/files/use", id=match[1]).status_code == 400
    assert owner.post("/reports/files/use").status_code == 400
    processor.run([])
    report = re.search(r'href="(/reports/dmarc/dmr_\w+)"', owner.get("/reports/files"))
    assert report is not None
    assert "<dt>Messages</dt><dd>70</dd>" in owner.get(report[1])


DAMAGED = (
    b"From: Jane <jane@rx.example>\r\nSubject: Report for <b>acme.test</b>\r\n"
    b"Content-Type: application/gzip\r\n\r\n\x1f\x8b\x08 damaged"
)


def test_rejected_file_has_a_page_with_its_sender(app: Flask, owner: Browser) -> None:
    upload(owner, ("a.eml", DAMAGED))
    path = link(owner.get("/reports/files"), r"/reports/files/file_\w+")
    page = owner.get(path)
    assert "<dt>From</dt><dd>Jane &lt;jane@rx.example&gt;</dd>" in page
    assert "Report for &lt;b&gt;acme.test&lt;/b&gt;" in page
    with transaction(readonly=True) as session:
        account = session.get_one(Account, owner.account_id)
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    for address in (path, "/reports/files"):
        assert "Jane &lt;j…@rx.example&gt;" in viewer.get(address)
        assert "jane@" not in viewer.get(address)


def test_retry_is_only_offered_if_something_has_changed(owner: Browser) -> None:
    upload(owner, ("a.eml", DAMAGED))
    page = owner.get("/reports/files")
    (file_id,) = set(re.findall(r'name="id" value="(file_\w+)"', page))
    assert "Nothing has changed since they were processed" in page
    assert 'name="reason"' not in page
    assert "<button disabled" in owner.get(f"/reports/files/{file_id}")
    refused = owner.post("/reports/files/retry", id=file_id)
    assert refused.status_code == 400
    assert "Nothing has changed since the file was processed" in refused.text
    read_by_earlier_version()
    assert "disabled" not in owner.get(f"/reports/files/{file_id}")
    assert 'name="reason"' in owner.get("/reports/files")
    assert owner.post("/reports/files/retry", id=file_id).status_code == 303
