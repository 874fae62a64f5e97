"""Failure reports and TLS reports in the forms of email in which they arrive."""

from random import Random

import pytest

from app.protocols.mail import mime, parameters, transfer_encoding
from app.protocols.report_formats import failure, message_parts
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.containers.entries import Entry
from app.protocols.report_formats.limits import LIMITS
from tests.support.hostile_reports import TLS, xml
from tests.support.report_cases import NOW

TEXT = b"""A message claiming to be from you has failed the published DMARC
policy for your domain.

  Sender Domain: shop.example
  Sender IP Address: 203.0.113.9
  Received Date: Thu, 01 Jan 2026 01:00:00 +0100
"""
COPY = b"""
------ This is a copy of the headers that were received before the error
       was detected.

"""
ORIGINAL = b"From: boss@shop.example\nSubject: Urgent\n\n"
FIELDS = b"Feedback-Type: auth-failure\nSource-IP: 203.0.113.9\nReported-Domain: shop.example\n"


def part(media_type: bytes, body: bytes) -> bytes:
    return b"--b\nContent-Type: " + media_type + b"\n\n" + body + b"\n"


def mail(*parts: bytes, media_type: bytes = b"multipart/report; boundary=b") -> bytes:
    header = b"From: a@rx.example\nTo: b@shop.example\nSubject: Report\nContent-Type: "
    return header + media_type + b"\n\n" + b"".join(parts) + (b"--b--\n" if parts[1:] else b"")


def entries(raw: bytes) -> list[tuple[str | None, str | None]]:
    """The kind of each entry, and the subject that its original has."""
    result: list[tuple[str | None, str | None]] = []
    for entry in unwrap.unwrap(raw):
        assert entry.kind is not None
        is_failure = entry.kind == "failure"
        subject = parse(entry) if is_failure else None
        result.append((entry.kind, subject))
    return result


def parse(entry: Entry) -> str | None:
    report = failure.parse(entry.document, entry.original, NOW)
    assert (report.source_ip, report.reported_domain) == ("203.0.113.9", "shop.example")
    return report.subject


@pytest.mark.parametrize(
    "raw",
    [
        mail(part(b"text/plain", TEXT), part(b"text/rfc822-headers", ORIGINAL)),
        mail(part(b"text/plain", TEXT + COPY + ORIGINAL), part(b"text/html", b"<p>hello</p>")),
        mail(TEXT + COPY + ORIGINAL, media_type=b"text/plain"),
        mail(part(b"text/plain", b"Hello"), part(b"text/plain", FIELDS)),
        mail(part(b"message/feedback-report", FIELDS), part(b"text/rfc822-headers", ORIGINAL)),
        mail(
            part(b"text/plain", TEXT),
            part(b"message/feedback-report", FIELDS),
            part(b"message/rfc822", ORIGINAL),
        ),
    ],
)
def test_mail_is_one_failure_report(raw: bytes) -> None:
    [(kind, subject)] = entries(raw)
    assert kind == "failure"
    assert subject == ("Urgent" if b"Urgent" in raw else None)


@pytest.mark.parametrize(
    "parts",
    [
        (
            part(b"text/plain", TEXT),
            part(b"text/rfc822-headers", ORIGINAL + xml()),
        ),
        (
            part(b"message/feedback-report", FIELDS),
            part(b"message/rfc822", b"Content-Type: text/xml\n\n" + xml()),
        ),
        (
            part(b"message/feedback-report", FIELDS),
            part(b"text/rfc822-headers", ORIGINAL),
            part(b"text/rfc822-headers", b"\n" + xml()),
        ),
    ],
)
def test_report_in_the_failed_message_is_not_read(parts: tuple[bytes, ...]) -> None:
    assert [kind for kind, _ in entries(mail(*parts))] == ["failure"]


def test_reports_beside_text_about_failures_are_read() -> None:
    raw = mail(part(b"text/plain", b"A message claiming to be from you"), part(b"text/xml", xml()))
    assert [kind for kind, _ in entries(raw)] == ["dmarc"]


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Type: application/tlsrpt+json\nContent-Disposition: attachment; filename=",
        b"Content-Type: application/tlsrpt+json; name=",
    ],
)
def test_entry_has_the_header_of_its_mail_and_its_file_name(field: bytes) -> None:
    body = b"--b\n" + field + b'"rx.test!shop.example!1!2.json"\n\n' + TLS + b"\n"
    [entry] = unwrap.unwrap(mail(part(b"text/plain", b"TLS report"), body))
    assert entry.file_name == "rx.test!shop.example!1!2.json"
    assert b"Subject: Report\n" in entry.header


@pytest.mark.parametrize("seed", range(200))
def test_fields_about_the_content_are_read_like_all_fields(seed: int) -> None:
    random = Random(seed)
    newline = random.choice(("\n", "\r\n"))
    names = (
        "Content-Type",
        "content-type",
        "X-Content-Type",
        "CONTENT-TRANSFER-ENCODING",
        "Subject",
    )
    values = ("text/xml", "text/csv; name=Content-Type:", "base64", "8bit", f"{newline} base64", "")
    lines = [
        f"{random.choice(names)}{random.choice(('', ' '))}:{random.choice((' ', newline + ' '))}"
        f"{random.choice(values)}{random.choice(('', newline + ' Content-Type: text/a'))}"
        for _ in range(random.randrange(1, 6))
    ]
    header = newline.join(lines).encode()
    (leaf,) = message_parts.parts(header + (newline * 2).encode() + b"body", LIMITS)
    fields = mime.headers(header)
    assert leaf.body == b"body"
    assert leaf.media_type == (
        parameters.media_type(mime.first(fields, "content-type")) or "text/plain"
    )
    encoding = mime.first(fields, "content-transfer-encoding")
    assert leaf.encoding == transfer_encoding.name(encoding)
