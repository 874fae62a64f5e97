"""Small files that cost much CPU time, each different from the others."""

import gzip

from tests.support.hostile_reports import RECORD, xml
from tests.support.report_documents import dmarc_xml


def poisoned(number: int) -> bytes:
    """One of several kinds of file, by its number."""
    return _KINDS[number % len(_KINDS)](number)


def _quoted_author(number: int) -> bytes:
    """A mail with an unterminated quoted string as its author."""
    return (
        b'From: "'
        + b'\\"' * 60_000
        + b"%d@receiver.test\r\n" % number
        + b"Content-Type: text/xml\r\n\r\n"
        + dmarc_xml(report_id=f"poisoned-{number}")
    )


def _long_name(number: int) -> bytes:
    """A mail with a field name that never ends."""
    return b"From: a@receiver.test\r\n" + b"a" * 120_000 + b"%d\r\n\r\nno report" % number


def _blank_results(number: int) -> bytes:
    """A report of a few hundred octets that inflates to one with half a megabyte of spaces."""
    blanks = b" " * 30_000 + b"</policy_evaluated>"
    records = RECORD.replace(b"</policy_evaluated>", blanks) * 16
    return gzip.compress(xml(records, about=b"<a>%d</a>" % number), mtime=0)


def _many_elements(number: int) -> bytes:
    """A report with a hundred thousand unknown elements."""
    return xml(about=b"<a%d/>" % number + b"<b/>" * 100_000)


_KINDS = (_quoted_author, _long_name, _blank_results, _many_elements)
