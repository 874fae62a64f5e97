import pytest

from app.protocols.report_formats import failure
from app.protocols.report_formats.failure import FailureReport
from app.protocols.report_formats.limits import ReportRejected
from tests.support.report_cases import NOW

KEY = b"k" * 32
HEADERS = b'From: "a@a.example" <Boss@Shop.example>\nSubject: =?utf-8?q?for_x=40y.example?=\n'


def parse(*lines: str, headers: bytes = HEADERS) -> FailureReport:
    text = "\n".join(("Feedback-Type: auth-failure", *lines))
    return failure.parse(text.encode(), headers, NOW)


def test_rfc_9991_fields_are_parsed() -> None:
    report = parse(
        *("Auth-Failure: dmarc", "Identity-Alignment: DKIM, spf", "Delivery-Result: Policy"),
        *("Incidents: 12", "Source-IP: [192.0.2.1]", "Reported-Domain: shop.example"),
        *("Reported-Domain: Other.example", "DKIM-Domain: shop.example", "DKIM-Selector: s1"),
        *("SPF-DNS: txt : a.example :", "  v=spf1"),
    )
    assert report.auth_failure == ("dmarc",)
    assert report.identity_alignment == ("dkim", "spf")
    assert (report.delivery_result, report.incidents) == ("policy", 12)
    assert report.source_ip == "192.0.2.1"
    assert report.reported_domains == ("shop.example", "other.example")
    assert (report.dkim_domain, report.dkim_selector) == ("shop.example", "s1")
    assert report.spf_dns == "txt : a.example : v=spf1"
    assert report.header_from == "shop.example"
    assert report.subject == "for x@y.example"


def test_identity_alignment_none_is_empty() -> None:
    assert parse("Identity-Alignment: none").identity_alignment == ()


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("Source-IP: localhost", "not_an_address:source-ip"),
        ("Incidents: many", "incidents_invalid"),
        ("Arrival-Date: yesterday", "arrival_date_invalid"),
        (
            "Arrival-Date: Fri, 02 Jan 2099 09:59:58 +0000",
            "arrival_date_invalid",
        ),
        ("Reported-Domain: a b", "not_a_domain:reported-domain"),
    ],
)
def test_unreadable_value_is_omitted_with_warning(line: str, warning: str) -> None:
    report = parse(line)
    assert report.warnings == (warning,)
    assert (report.source_ip, report.arrived_at, report.incidents) == (None, None, 1)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.8 (a8-61.out.sender.example)", "203.0.113.8"),
        ("(a (nested \\) one)) 203.0.113.8", "203.0.113.8"),
        ("mx.sender.example [203.0.113.8]", "203.0.113.8"),
        ("mx.sender.example (203.0.113.8)", "203.0.113.8"),
        ("203.0.113.8:25", "203.0.113.8"),
        ("IPv6:2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:2525", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.8", "203.0.113.8"),
        ("ip=203.0.113.8;", "203.0.113.8"),
    ],
)
def test_source_address_is_found_in_all_forms(written: str, address: str) -> None:
    report = parse(f"Source-IP: {written}")
    assert (report.source_ip, report.warnings) == (address, ())


def test_comments_are_ignored_in_every_structured_field() -> None:
    report = parse(
        *("Auth-Failure: dmarc (policy), (x) spf", "Auth-Failure: (again) signature"),
        *("Identity-Alignment: (a) none (b)", "Delivery-Result: reject (550)"),
        *("Incidents: (about) 3", "Reported-Domain: (From) shop.example"),
        *("Arrival-Date: Thu, 1 Jan 2026 00:00:00 +0000 (UTC)", "DKIM-Selector: s1 (rsa)"),
    )
    assert report.auth_failure == ("dmarc", "spf", "signature")
    assert (report.identity_alignment, report.delivery_result) == ((), "reject")
    assert (report.incidents, report.reported_domain) == (3, "shop.example")
    assert (report.arrived_at, report.dkim_selector) == (1767225600, "s1")
    assert report.warnings == ()


@pytest.mark.parametrize("line", ["Auth-Failure: dmarc", "Reported-Domain: shop.example"])
def test_missing_feedback_type_is_assumed_if_the_report_is_about_authentication(line: str) -> None:
    report = failure.parse(line.encode(), HEADERS, NOW)
    assert report.feedback_type == "auth-failure"
    assert report.warnings == ("feedback_type_missing",)


def test_digest_depends_on_unreadable_values_but_not_on_spelling() -> None:
    def digest(*lines: str) -> bytes:
        return failure.digest("\n".join(lines).encode(), HEADERS)

    assert digest("Source-IP: a", "Version: 1") == digest("VERSION:1", "source-ip:  a\r")
    assert digest("Source-IP: host-a") != digest("Source-IP: host-b")
    assert failure.digest(b"", HEADERS) != failure.digest(b"", b"Subject: other\n")


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        (b"", "not_a_report"),
        (b"Subject: x", "not_a_report"),
        (b"Feedback-Type: abuse", "other_feedback"),
    ],
)
def test_other_feedback_types_are_rejected(feedback: bytes, reason: str) -> None:
    with pytest.raises(ReportRejected, match=reason):
        failure.parse(feedback, HEADERS, NOW)


def test_redaction_removes_local_parts_and_keeps_addresses_comparable() -> None:
    report = parse(
        *("Original-Mail-From: <Joe.Public@Shop.example>", "Original-Rcpt-To: jane@gen.example"),
        "Authentication-Results: gen.example; spf=fail smtp.mailfrom=joe.public@shop.example",
        headers=b"Subject: Dear joe.public@shop.example\nMessage-ID: <joe@mx.shop.example>\n",
    )
    redacted = failure.redact(report, KEY)
    shown = repr(redacted)
    for private in ("joe", "Joe", "public", "jane"):
        assert private not in shown
    assert redacted.mail_from is not None
    digest = redacted.mail_from.strip("<>").partition("@")[0]
    assert redacted.mail_from == f"<{digest}@shop.example>"
    assert redacted.subject == f"Dear {digest}@shop.example"
    assert redacted.recipient is not None
    assert redacted.recipient.endswith("@gen.example")
    assert failure.redact(report, b"other").mail_from != redacted.mail_from
