"""Report files of an account: their status, bytes and reprocessing."""

from sqlalchemy import delete, select

from app.db.transactions import transaction
from app.models import AuditEvent, RawFile, ReportFile
from app.services.filing import processor
from tests.support.api_client import Client
from tests.support.api_reports import read_by_earlier_version, upload
from tests.support.factories import make_domain
from tests.support.report_documents import dmarc_xml


def test_every_file_is_listed_with_its_status(full: Client) -> None:
    listed_files = full.data("GET", "/v1/reports/files")
    assert [item["status"] for item in listed_files] == ["rejected", *["parsed"] * 4]
    assert [str(item["reportId"])[:4] for item in listed_files] == [
        "None",
        "flr_",
        "tlr_",
        "dmr_",
        "dmr_",
    ]
    assert listed_files[0]["reason"]
    assert len(full.data("GET", "/v1/reports/files?status=rejected")) == 1
    assert len(full.data("GET", "/v1/reports/files?kind=tls&policyDomain=acme.test")) == 1


def test_files_with_failed_authentication_are_listed(full: Client) -> None:
    with transaction() as session:
        report_file = session.scalars(select(ReportFile).where(ReportFile.kind == "tls")).one()
        report_file.authenticity, report_file.author = "failed", "evil.test"
    (failed_file,) = full.data("GET", "/v1/reports/files?authenticity=failed")
    assert (failed_file["kind"], failed_file["author"], failed_file["authenticity"]) == (
        "tls",
        "evil.test",
        "failed",
    )
    assert full.data("GET", "/v1/reports/files?authenticity=verified") == []
    assert full("GET", "/v1/reports/files?authenticity=maybe").status_code == 400


def test_any_report_file_is_downloaded_unchanged(full: Client) -> None:
    (file,) = full.data("GET", "/v1/reports/files?status=rejected")
    response = full("GET", f"/v1/reports/files/{file['id']}/raw")
    assert (response.status_code, response.data) == (200, b"hello")
    assert response.headers["Content-Type"] == "application/octet-stream"
    with transaction(readonly=True) as session:
        actions = session.scalars(select(AuditEvent.action)).all()
    assert "report_file.downloaded" in actions


def test_deleted_bytes_are_not_found(full: Client) -> None:
    (file,) = full.data("GET", "/v1/reports/files?status=rejected")
    with transaction() as session:
        session.execute(delete(RawFile).where(RawFile.account_id == full.account_id))
    assert full("GET", f"/v1/reports/files/{file['id']}/raw").status_code == 404
    response = full("POST", f"/v1/reports/files/{file['id']}/reprocess")
    assert (response.status_code, response.json["error"]["code"]) == (409, "conflict")


def test_unattributed_file_is_reprocessed(full: Client) -> None:
    upload(full, dmarc_xml("later.test", "later"))
    (file,) = full.data("GET", "/v1/reports/files?status=unattributed")
    refused = full("POST", f"/v1/reports/files/{file['id']}/reprocess")
    assert refused.status_code == 409
    assert "no domain was added or verified" in refused.json["error"]["message"]
    assert "Add and verify later.test" in refused.json["error"]["message"]
    make_domain(full.account_id, "another.test")
    queued = full.data("POST", f"/v1/reports/files/{file['id']}/reprocess", 202)
    assert queued == {
        **file,
        **{"status": "received", "reason": None, "detail": None, "finishedAt": None},
    }
    processor.run([])
    (again,) = full.data("GET", "/v1/reports/files?status=unattributed")
    assert (again["id"], again["policyDomain"]) == (file["id"], "later.test")
    assert again["finishedAt"] > file["finishedAt"]


def test_parsed_file_is_not_reprocessed(full: Client) -> None:
    file = full.data("GET", "/v1/reports/files?status=parsed")[0]
    response = full("POST", f"/v1/reports/files/{file['id']}/reprocess")
    assert response.status_code == 409
    assert response.json["error"]["message"].endswith("The status of this file is parsed")


def test_rejected_file_is_reprocessed_by_another_version_only(full: Client) -> None:
    (file,) = full.data("GET", "/v1/reports/files?status=rejected")
    refused = full("POST", f"/v1/reports/files/{file['id']}/reprocess")
    assert refused.status_code == 409
    assert "Nothing has changed" in refused.json["error"]["message"]
    read_by_earlier_version()
    full.data("POST", f"/v1/reports/files/{file['id']}/reprocess", 202)
    processor.run([])
    assert full("POST", f"/v1/reports/files/{file['id']}/reprocess").status_code == 409


def test_rejected_file_has_its_sender_and_its_domain(full: Client) -> None:
    upload(
        full,
        b"Return-Path: <bounce@rx.example>\r\nFrom: Reports <dmarc@rx.example>\r\n"
        b"Subject: =?utf-8?b?G1szMW0=?= Report Domain: acme.test\r\n Submitter: rx.example\r\n"
        b"Content-Type: application/gzip; name=x.gz\r\n\r\n\x1f\x8b\x08 damaged",
    )
    file = full.data("GET", "/v1/reports/files?status=rejected&policyDomain=acme.test")[0]
    expected = {
        "reason": "damaged",
        "policyDomain": "acme.test",
        "reporter": "rx.example",
        "envelopeFrom": "bounce@rx.example",
        "headerFrom": "Reports <dmarc@rx.example>",
        "subject": r"\x1b[31m Report Domain: acme.test Submitter: rx.example",
        "attachmentName": "x.gz",
    }
    assert {name: file[name] for name in expected} == expected
    assert file["detail"]
    assert full.data("GET", f"/v1/reports/files/{file['id']}") == file
