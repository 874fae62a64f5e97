"""Warnings of all report formats: codes, and their texts in one place."""

import re

import pytest

from app.protocols.report_formats import deviations
from tests.architecture.source_tree import sources

SOURCE = "".join(path.read_text() for path in sources("app/protocols/report_formats"))


def test_each_added_code_has_a_text() -> None:
    added = re.findall(r"""warnings\.add\(\s*(f?"[^"]*")""", SOURCE)
    assert len(added) > 15
    assert {text.strip('"') for text in added} <= deviations.WARNINGS.keys()


def test_each_text_belongs_to_a_code_that_is_used() -> None:
    unused = [code for code in deviations.WARNINGS if SOURCE.count(f'"{code}"') < 2]
    assert unused == []


@pytest.mark.parametrize(
    ("warning", "text"),
    [
        ("not_an_address:receiving-ip", "receiving-ip is not an IP address."),
        ("trailing_comma", "The JSON has a comma after the last member."),
        (
            "policies that could not be read: 1, of old",
            "policies that could not be read: 1, of old",
        ),
    ],
)
def test_warning_is_described_with_its_subject(warning: str, text: str) -> None:
    assert deviations.describe(warning) == text
