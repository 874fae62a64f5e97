import base64
import gzip

import pytest

from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from tests.support.hostile_reports import TLS, mail, nested_mail, xml, zipped
from tests.support.paths import DATA

RUF = DATA / "reports" / "ruf"
XML = xml()


def entries_of(raw: bytes, limits: Limits = LIMITS) -> list[tuple[str, str | None, bytes]]:
    return [(m.path, m.kind, m.document) for m in unwrap.unwrap(raw, limits)]


def reason(raw: bytes, limits: Limits) -> str:
    with pytest.raises(ReportRejected) as refused:
        unwrap.unwrap(raw, limits)
    return refused.value.reason


@pytest.mark.parametrize(
    ("raw", "kind", "document"),
    [
        (XML, "dmarc", XML),
        (b"\n\r\n <?xml?>", "dmarc", b"\n\r\n <?xml?>"),
        (b"\xef\xbb\xbf" + XML, "dmarc", b"\xef\xbb\xbf" + XML),
        (b"\xfe\xff\0<\0a", "dmarc", b"\xfe\xff\0<\0a"),
        (TLS, "tls", TLS),
        (b"\xef\xbb\xbf" + TLS, "tls", b"\xef\xbb\xbf" + TLS),
        (gzip.compress(XML), "dmarc", XML),
        (gzip.compress(TLS), "tls", TLS),
        (gzip.compress(XML) + b"\0" * 512, "dmarc", XML),
        (gzip.compress(XML) + b"\r\n", "dmarc", XML),
    ],
)
def test_file_type_is_detected_from_content(raw: bytes, kind: str, document: bytes) -> None:
    assert entries_of(raw) == [("", kind, document)]


def test_each_zip_entry_is_accepted_or_rejected_separately() -> None:
    assert [
        (m.path, m.kind, m.rejected and m.rejected.reason)
        for m in unwrap.unwrap(zipped(XML, b"7z\xbc\xaf\x27\x1c", TLS))
    ] == [("1", "dmarc", None), ("2", None, "archive_7z"), ("3", "tls", None)]


def test_checksum_of_stored_entry_is_verified() -> None:
    archive = zipped(XML, method=0)
    assert entries_of(archive) == [("1", "dmarc", XML)]
    assert reason(archive.replace(b"192.0.2.1", b"192.0.2.2"), LIMITS) == "damaged"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_all_parts_of_a_message_are_searched(newline: bytes) -> None:
    lines = [
        *(b"From: a@a.example", b'Content-Type: multipart/mixed; boundary="b\\"1"', b""),
        *(b"preamble", b'--b"1', b"Content-Type: text/plain", b"", b"{hello}", b'--b"1  '),
        *(b"Content-Type: text/html", b"", b"<html><p>hello</p></html>", b'--b"1'),
        *(b"Content-Type: image/png; name=report.xml.gz", b"", b"\x89PNG", b'--b"12'),
        *(b'--b"1', b"Content-Type: APPLICATION/Octet-Stream", b"", XML, b'--b"1'),
        *(b"Content-Type: message/rfc822", b"", b"Subject: forwarded"),
        *(b"Content-Type: application/json", b"Content-Transfer-Encoding: Base64", b""),
        *(_base64(TLS).replace(b"\n", newline), b'--b"1--', b"epilogue", XML),
    ]
    assert entries_of(newline.join(lines)) == [("4", "dmarc", XML), ("5.1", "tls", TLS)]


def test_last_part_without_closing_boundary_extends_to_the_end() -> None:
    assert entries_of(mail(b"--b\n\n" + XML, b"multipart/mixed; boundary=b")) == [
        ("1", "dmarc", XML)
    ]


@pytest.mark.parametrize(
    "raw",
    [
        mail(XML),
        b">From user Thu Jan 1\n" + mail(XML),
        mail(XML, b"application/gzip; name=report.xml.gz"),
        b"Subject: \xff\n\n" + XML,
    ],
)
def test_message_body_may_be_the_report(raw: bytes) -> None:
    assert entries_of(raw) == [("", "dmarc", XML)]


@pytest.mark.parametrize("footer", [b"", b"\n", b"\n-- \nhow to leave this list\n"])
def test_missing_padding_and_footers_are_tolerated(footer: bytes) -> None:
    header = b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n"
    contents = [XML[:end].ljust(len(XML)) for end in (-1, -2)]
    encoded = [_base64(gzip.compress(content, 9, mtime=0)) for content in (XML, *contents)]
    assert len({text.count(b"=") for text in encoded}) > 1
    for text in encoded:
        assert entries_of(header + text.rstrip(b"=\n"))[0][1] == "dmarc"
        if b"=" in text:
            assert entries_of(header + text + footer)[0][1] == "dmarc"


def test_failure_report_has_headers_but_not_body_of_original() -> None:
    [member] = unwrap.unwrap((RUF / "parsedmarc-netease.eml").read_bytes())
    assert member.kind == "failure"
    assert member.document.startswith(b"Feedback-Type: auth-failure")
    assert b"Subject: Rent Reminder" in member.original
    assert b"\n\n" not in member.original.replace(b"\r", b"")


def test_report_in_original_of_failure_report_is_ignored() -> None:
    inner = b"Content-Type: message/rfc822\n\n" + mail(XML)
    raw = mail(
        b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: auth-failure\n--b\n"
        + inner
        + b"\n--b--",
        b"multipart/report; boundary=b",
    )
    assert [(m.path, m.kind) for m in unwrap.unwrap(raw)] == [("1", "failure")]


def test_message_may_contain_several_failure_reports() -> None:
    part = b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: auth-failure\n"
    raw = mail(part * 2 + b"--b--", b"multipart/report; boundary=b")
    assert [(m.path, m.kind) for m in unwrap.unwrap(raw)] == [("1", "failure"), ("2", "failure")]


@pytest.mark.parametrize(
    ("raw", "limits", "expected"),
    [
        (XML, Limits(inflated=100), "too_large"),
        (gzip.compress(XML, 0), Limits(inflated=len(XML) - 1), "too_large"),
        (gzip.compress(XML + b" " * 10_000), Limits(ratio=2, ratio_from=1), "ratio"),
        (zipped(XML, XML), Limits(members=1), "too_many_members"),
        (zipped(XML, XML), Limits(archive_entries=1), "too_many_members"),
        (nested_mail(3), Limits(mime_depth=2), "too_deep"),
        (nested_mail(3), Limits(mime_parts=3), "too_many_parts"),
        (nested_mail(3), Limits(mime_headers=100), "too_large"),
    ],
)
def test_exceeding_a_limit_rejects_the_file(raw: bytes, limits: Limits, expected: str) -> None:
    assert reason(raw, limits) == expected
    assert entries_of(raw)


def test_inflated_sizes_of_zip_entries_are_added_up() -> None:
    members = unwrap.unwrap(zipped(XML, XML), Limits(inflated=2 * len(XML) - 1))
    assert [m.rejected and m.rejected.reason for m in members] == [None, "too_large"]


def test_limits_are_inclusive() -> None:
    assert entries_of(gzip.compress(XML, 9), Limits(inflated=len(XML))) == [("", "dmarc", XML)]
    assert entries_of(nested_mail(3), Limits(mime_depth=3, mime_parts=4))


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content)
