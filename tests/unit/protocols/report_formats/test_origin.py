"""What a report file says about its sender, for people."""

from random import Random

import pytest

from app.protocols.report_formats import origin
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.containers.entries import Entry, OnlyEntryRejected
from app.protocols.report_formats.origin import MAX_TEXT, Origin
from tests.support.hostile_reports import TLS, xml

HEADER = b"""Return-Path: <bounce@rx.example>
From: =?utf-8?q?R=C3=A9ports?= <dmarc@rx.example>
Subject: Report Domain: shop.example
 Submitter: rx.example Report-ID: <1>
"""
DAMAGED = b"\x1f\x8b\x08 damaged"


def mail(
    content: bytes, name: bytes = b"rx.example!shop.example!1!2.xml.gz", header: bytes = HEADER
) -> bytes:
    disposition = b'Content-Disposition: attachment; filename="' + name + b'"\n'
    return header + b"Content-Type: application/gzip\n" + disposition + b"\n" + content


def of(raw: bytes, file_name: str = "") -> Origin:
    """The origin of the only entry, which is rejected."""
    with pytest.raises(OnlyEntryRejected) as rejected:
        unwrap.unwrap(raw)
    return origin.of_entry(rejected.value.entry, file_name, is_read=False)


def test_damaged_attachment_has_the_names_of_its_email() -> None:
    assert of(mail(DAMAGED)) == Origin(
        envelope_from="bounce@rx.example",
        header_from="Réports <dmarc@rx.example>",
        subject="Report Domain: shop.example Submitter: rx.example Report-ID: <1>",
        attachment_name="rx.example!shop.example!1!2.xml.gz",
        policy_domain="shop.example",
        reporter="rx.example",
    )


def test_nearest_email_counts() -> None:
    inner = mail(DAMAGED, header=b"From: a@near.example\nSubject: Near\n")
    outer = b"From: b@far.example\nSubject: Far\nContent-Type: message/rfc822\n\n" + inner
    assert (of(outer).header_from, of(outer).subject) == ("a@near.example", "Near")


@pytest.mark.parametrize(
    ("document", "domain", "reporter"),
    [
        (xml(), "shop.example", "a.example"),
        (xml().decode().encode("utf-16"), "shop.example", "a.example"),
        (b"<feedback><policy_published><domain>A.Example.</domain>", "a.example", None),
        (b"<feedback><record><domain>a.example</domain>", None, None),
        (b"<feedback><org_name> An Org </org_name>", None, "an org"),
        (b'{"policy-domain": "not a domain"}', None, None),
        (TLS, "shop.example", "a"),
        (b"Feedback-Type: auth-failure\nReported-Domain: shop.example\n", "shop.example", None),
    ],
)
def test_names_are_read_from_documents(
    document: bytes, domain: str | None, reporter: str | None
) -> None:
    found = origin.of_entry(Entry("", "dmarc", document), is_read=False)
    assert (found.policy_domain, found.reporter) == (domain, reporter)


def test_file_name_has_the_domain_and_the_reporter() -> None:
    found = of(DAMAGED, "rx.example!shop.example!1764000000!1764086400.xml.gz")
    assert (found.policy_domain, found.reporter) == ("shop.example", "rx.example")


def test_subject_of_a_failure_report_is_private() -> None:
    header = b"From: a@rx.example\nSubject: FW: Invoice\n"
    entry = Entry("", "failure", b"", header=header)
    assert origin.of_entry(entry, is_read=True) == Origin(header_from="a@rx.example")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", None),
        (" \r\n", None),
        ("a\tb\n c", "a b c"),
        ("a\0b\x1b[31m\u202e", r"a\x00b\x1b[31m\u202e"),
        ("=?utf-8?b?G1szMW0=?=", r"\x1b[31m"),
        ("=?unknown?q?a?=", "=?unknown?q?a?="),
    ],
)
def test_text_is_decoded_and_escaped(value: str, text: str | None) -> None:
    assert origin.printable(value) == text


@pytest.mark.parametrize("seed", range(100))
def test_text_is_printable_and_bounded(seed: int) -> None:
    random = Random(seed)
    pieces = (
        "\x00",
        "\ud800",
        "=?",
        "utf-8?b?",
        "?=",
        "x" * 400,
        "\u202e",
        " ",
        "=?utf-16?q?=D8=00?=",
    )
    text = origin.printable("".join(random.choices(pieces, k=random.randrange(20))))
    assert text is None or (text.isprintable() and 0 < len(text) <= MAX_TEXT)


@pytest.mark.parametrize(
    ("value", "text"),
    [("<a@b.example>", "a@b.example"), ("a@b.example", "a@b.example"), ("<>", "<>"), (None, None)],
)
def test_empty_envelope_sender_is_not_a_missing_one(value: str | None, text: str | None) -> None:
    assert origin.address(value) == text


def test_whole_file_has_the_header_of_its_email() -> None:
    assert origin.of_file(mail(DAMAGED)).header_from == "Réports <dmarc@rx.example>"
    assert origin.of_file(xml()).policy_domain == "shop.example"
