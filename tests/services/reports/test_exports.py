"""No cell of a CSV file is a formula, whatever separator the spreadsheet expects."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.reports import exports

FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
FILLERS = ("", " ", '"', '" "', "\0", "\ufeff", "\u200b", "\xa0")


def cells_of(text: str, separator: str) -> list[str]:
    """The cells that a spreadsheet reads, if only quotes at the start of a line's cell count."""
    (first, second) = (["date"], ["text"])
    item = {"date": "2026-01-01", "text": text}
    table = "".join(exports.csv_lines([first, second], [item]))
    cells = []
    for row in re.split(r"\r\n|\r|\n", table):
        cells += [cell.strip('" \0\ufeff\u200b\xa0') for cell in row.split(separator)]
    return cells


@pytest.mark.parametrize("start", [*FORMULA, ";", "\t", "\r", "\n"])
@pytest.mark.parametrize("filler", FILLERS)
def test_text_that_starts_like_a_formula_gets_an_apostrophe(start: str, filler: str) -> None:
    text = f"{filler}{start}cmd|' /C calc'!A0"
    assert exports.safe_cell(text).startswith("'")


@pytest.mark.parametrize("separator", [";", "\t", "\r", "\n", "\r\n"])
@pytest.mark.parametrize("start", FORMULA)
@pytest.mark.parametrize("filler", FILLERS)
def test_separator_within_a_text_does_not_start_a_formula(
    separator: str, start: str, filler: str
) -> None:
    text = f"Example Inc.{separator}{filler}{start}HYPERLINK(A1)"
    for cell in cells_of(text, ";") + cells_of(text, "\t"):
        assert not cell.startswith(tuple(FORMULA))


@pytest.mark.parametrize(
    "text", ["", "example.com", "v=DMARC1; p=none", "a-b", "2026-01-01", '[{"count":5}]', "a;b"]
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert exports.safe_cell(text) == text


@given(st.text(alphabet=st.sampled_from([*FORMULA, *';\t\r\n "a\0'])))
def test_safe_cell_is_unchanged_by_a_second_pass_and_never_a_formula(text: str) -> None:
    safe = exports.safe_cell(text)
    assert not safe.startswith((*FORMULA, ";", "\t", "\r", "\n"))
    assert exports.safe_cell(safe) == safe
    assert safe.replace("'", "") == text


def test_number_is_quoted_and_unchanged() -> None:
    table = "".join(exports.csv_lines([["n"], ["none"]], [{"n": -5, "none": None}]))
    assert table == '"n","none"\r\n"-5",""\r\n'
    assert next(csv.DictReader(io.StringIO(table))) == {"n": "-5", "none": ""}
