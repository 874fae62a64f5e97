import pytest

from app.protocols.report_formats import failure, failure_text
from app.protocols.report_formats.failure import FailureReport
from tests.support.report_cases import NOW

EXIM = """\
A message claiming to be from you has failed the published DMARC
policy for your domain.

  Sender Domain: shop.example
  Sender IP Address: 203.0.113.9
  Received Date: Thu, 01 Jan 2026 01:00:00 +0100
  SPF Alignment: no
  DKIM Alignment: yes
  DMARC Results: Reject

------ This is a copy of the headers that were received before the error
       was detected.

Received: from x (203.0.113.7) by mx.rx.example; Thu, 01 Jan 2026 00:00:00 +0000
From: "Boss" <boss@other.example>
Subject: Urgent
"""
SENTENCE = """\
This is a spf/dkim authentication-failure report for an email message received from IP
203.0.113.9 on Thu, 01 Jan 2026 01:00:00 +0100.
Below is some detail information about this message:
 1. SPF-authenticated Identifiers: none;

From: "Boss" <boss@shop.example>
Subject: Urgent
"""


def parse(text: str) -> FailureReport:
    report = failure_text.read(text.encode())
    assert report is not None
    return failure.parse(report.feedback, report.original, NOW)


@pytest.mark.parametrize("text", [EXIM, SENTENCE, EXIM.replace("\n", "\r\n")])
def test_text_is_read_like_the_fields_of_a_report(text: str) -> None:
    report = parse(text)
    assert (report.source_ip, report.arrived_at) == ("203.0.113.9", 1767225600)
    assert (report.subject, report.auth_failure, report.warnings) == ("Urgent", ("dmarc",), ())
    assert "shop.example" in (report.reported_domain, report.header_from)


def test_results_of_exim_are_read() -> None:
    report = parse(EXIM)
    assert (report.delivery_result, report.identity_alignment) == ("reject", ("spf",))
    assert parse(EXIM.replace(": no", ": yes")).identity_alignment == ()


def test_quoted_text_of_a_forwarded_report_is_read() -> None:
    quoted = "Please look at this.\n\n" + EXIM.replace("\n", "\n> ")
    assert parse(quoted).reported_domain == "shop.example"


def test_machine_readable_part_may_be_labeled_as_text() -> None:
    report = parse("\nVersion: 1\nFeedback-Type: auth-failure\nSource-IP: 203.0.113.9\n")
    assert report.source_ip == "203.0.113.9"


def test_fields_in_the_failed_message_do_not_count() -> None:
    forged = EXIM + "\n  Sender IP Address: 192.0.2.1\n"
    assert parse(forged).source_ip == "203.0.113.9"


@pytest.mark.parametrize(
    "text", ["", "hello", "A message claiming to be from you has failed", EXIM.split(".")[1]]
)
def test_other_text_is_no_report(text: str) -> None:
    assert failure_text.read(text.encode()) is None
