"""A file that is no report is rejected with what it is and what to do, by a stable code."""

import base64

import pytest

from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.limits import ReportRejected
from tests.support.hostile_reports import mail, tarred, xml, zipped
from tests.support.paths import ROOT

CMS = b"\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x82"
TNEF = b"\x78\x9f\x3e\x22\x01\x00"


def report_mail(*types: bytes, header: bytes = b"", body: bytes = b"x") -> bytes:
    """A mail with a part of each of these types."""
    parts = b"".join(b"--b\nContent-Type: " + kind + b"\n\n" + body + b"\n" for kind in types)
    return header + mail(parts + b"--b--\n", b"multipart/mixed; boundary=b")


def encoded(content: bytes) -> bytes:
    return b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(content)


@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        (b"", "empty", "empty"),
        (b" \r\n", "empty", "empty"),
        (b"hello", "not_a_report", "text"),
        (b"a,b,c,d\n1,2,3,4\n", "csv", "table"),
        (b"\x01\x02\x03", "not_a_report", "unknown type"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "archive_7z", "7z archive"),
        (b"Rar!\x1a\x07\x01\0", "archive_rar", "RAR archive"),
        (b"\x28\xb5\x2f\xfd\x20", "archive_zstd", "Zstandard"),
        (b"%PDF-1.7\n", "pdf", "PDF document"),
        (b"\x89PNG\r\n\x1a\n", "image", "PNG"),
        (b"\xff\xd8\xff\xe0", "image", "JPEG"),
        (b"<!DOCTYPE html>\n<html><body>", "html", "web page"),
        (b"\n<html lang=en>", "html", "web page"),
        (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "calendar", "iCalendar"),
        (b"-----BEGIN PGP MESSAGE-----\n\nhQ", "pgp", "PGP"),
        (b"-----BEGIN CERTIFICATE-----\n", "key_or_certificate", "certificate"),
        (b"v=DMARC1; p=none", "dns_record", "DNS record"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "outlook_message", ".msg"),
        (
            b"organization_name,begin_date,end_date,report_id\na,b,c\n",
            "parsedmarc_output",
            "parsedmarc",
        ),
        (
            b'[{"feedback_type": "auth-failure", "arrival_date_utc": ""}]',
            "parsedmarc_output",
            "parsedmarc",
        ),
        (zipped(b"%PDF-1.7"), "pdf", "The archive contains only a file that is a PDF document"),
        (tarred(b"hello"), "not_a_report", "The archive contains only a file that is text"),
        (TNEF, "winmail_dat", "winmail.dat"),
        (report_mail(b"application/ms-tnef", body=TNEF), "winmail_dat", "Forward the email"),
        (report_mail(b"application/pkcs7-mime", body=CMS), "smime", "S/MIME"),
        (
            mail(base64.encodebytes(CMS), b"application/pkcs7-mime; smime-type=enveloped-data"),
            "smime",
            "S/MIME",
        ),
        (
            report_mail(b"application/pgp-encrypted", b"application/octet-stream"),
            "pgp",
            "encrypted with PGP",
        ),
        (report_mail(b"text/plain", b"message/delivery-status"), "bounce", "bounce"),
        (report_mail(b"message/disposition-notification"), "read_receipt", "read receipt"),
        (mail(b"away", b"text/plain\r\nAuto-Submitted: auto-replied"), "auto_reply", "automatic"),
        (
            mail(b"news", b"text/plain\r\nList-Unsubscribe: <https://a.example>"),
            "newsletter",
            "mailing list",
        ),
        (report_mail(b"text/calendar"), "calendar", "invitation"),
        (
            report_mail(b"application/pdf", body=b"%PDF-1.7"),
            "no_report",
            "contains no report, only a PDF document",
        ),
        (mail(b"hello", b"text/plain"), "no_report", "contains no report"),
    ],
)
def test_rejection_says_what_the_file_is(raw: bytes, reason: str, words: str) -> None:
    with pytest.raises(ReportRejected) as rejected:
        unwrap.unwrap(raw)
    assert rejected.value.reason == reason
    assert words in rejected.value.detail
    assert f"`{reason}`" in (ROOT / "docs" / "reports.md").read_text()


@pytest.mark.parametrize(
    "companion",
    [b"hello", b"\0\5\x16\7", b"\0\0\0\1Bud1", b"%PDF-1.7", b"\x89PNG\r\n", b"", b"<html></html>"],
)
def test_files_that_accompany_reports_are_ignored(companion: bytes) -> None:
    for archive in (zipped(companion, xml()), tarred(xml(), companion)):
        [entry] = unwrap.unwrap(archive)
        assert entry.rejected is None
        assert entry.document == xml()


def test_unreadable_archive_beside_a_report_is_not_lost() -> None:
    archive = b"7z\xbc\xaf\x27\x1c"
    for raw in (zipped(xml(), archive), report_mail(b"a/b", body=archive).replace(b"--b--", b"")):
        with_report = raw if raw.startswith(b"PK") else raw + b"--b\n\n" + xml() + b"\n--b--"
        reasons = {e.rejected.reason for e in unwrap.unwrap(with_report) if e.rejected}
        assert reasons == {"archive_7z"}
        assert [e.document for e in unwrap.unwrap(with_report) if not e.rejected] == [xml()]


def test_detached_signature_is_no_report() -> None:
    raw = report_mail(b"application/pkcs7-signature", body=CMS) + b"--b\n\n"
    with pytest.raises(ReportRejected) as rejected:
        unwrap.unwrap(raw)
    assert rejected.value.reason == "no_report"


def test_each_mail_of_an_mbox_has_an_entry() -> None:
    line = b"From a@a.example Fri Nov 27 06:00:00 2026\n"
    messages = (mail(xml()), mail(b"hello", b"text/plain"), mail(xml(policy=b"<sp>none</sp>")))
    entries = unwrap.unwrap(b"\n\n".join(line + message for message in messages))
    assert [entry.rejected and entry.rejected.reason for entry in entries] == [
        None,
        "no_report",
        None,
    ]
    assert [entry.path for entry in entries] == ["1", "2", "3"]


def test_line_of_text_does_not_divide_an_mbox() -> None:
    line = b"From a@a.example Fri Nov 27 06:00:00 2026\n"
    body = b"From here on, it is text.\n\nFrom me.\n>From you.\n" + xml()
    [entry] = unwrap.unwrap(line + mail(body, b"text/plain") + b"\n\n")
    assert entry.document == xml()
