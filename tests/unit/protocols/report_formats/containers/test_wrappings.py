"""A good report is read in every wrapping, and no report in a file is lost."""

from random import Random

import pytest

from app.protocols.report_formats.containers import unwrap
from tests.support.hostile_reports import xml
from tests.support.wrappings import wrapped


@pytest.mark.parametrize("seed", range(300))
def test_reports_are_read_in_every_nesting(seed: int) -> None:
    random = Random(seed)
    reports = [
        xml(about=b"<report_note>%d</report_note>" % number)
        for number in range(random.choice((1, 1, 2, 5)))
    ]
    entries = unwrap.unwrap(wrapped(random, reports))
    assert [entry.rejected for entry in entries if entry.rejected] == []
    assert sorted(entry.document.strip() for entry in entries) == sorted(reports)
