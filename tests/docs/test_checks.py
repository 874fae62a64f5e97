"""docs/checks.md describes every finding and how the score is calculated."""

import re

import pytest

from app.analysis.scan import score
from app.checks import CHECKS
from app.checks.engine.types import Check, Severity, Usage, Verdict
from tests.support.paths import DOCS

TEXT = (DOCS / "checks.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
SCORE = TEXT.partition("\n## The score\n")[2]
COLUMNS = 5


def rows(text: str) -> list[list[str]]:
    """The cells of the table rows that begin with a name in backticks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_check_has_a_section_in_the_order_of_a_report() -> None:
    described = re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)
    assert described == [check.name for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_code_is_listed_once_with_its_severity(check: Check) -> None:
    listed = [(row[0].strip("`"), row[1]) for row in rows(SECTIONS[check.name])]
    assert len(listed) == len(set(listed))
    assert set(listed) == {(kind.code, kind.severity.value) for kind in check.finds}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_row_has_meaning_remediation_and_reference(check: Check) -> None:
    kinds = {kind.code: kind for kind in check.finds}
    for row in rows(SECTIONS[check.name]):
        assert len(row) == COLUMNS, row[0]
        code, _, means, to_do, reference = row
        kind = kinds[code.strip("`")]
        assert means.startswith(kind.summary), code
        assert all((means, to_do)), code
        assert reference.split(" §")[-1] == kind.reference.split(" §")[-1], code


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_explicit_verdict_is_documented(check: Check) -> None:
    means = {row[0].strip("`"): row[2] for row in rows(SECTIONS[check.name])}
    for kind in check.finds:
        verdict = re.search(r"Verdict: (\w+)\.", means[kind.code])
        assert (verdict and verdict[1]) == (kind.verdict and kind.verdict.value), kind.code


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_code_begins_with_the_name_of_its_check(check: Check) -> None:
    assert {kind.code.partition(".")[0] for kind in check.finds} == {check.name}


def test_every_documented_code_exists() -> None:
    names = "|".join(check.name for check in CHECKS)
    named = set(re.findall(rf"`((?:{names})\.[a-z0-9_]+)`", TEXT))
    assert named == {kind.code for check in CHECKS for kind in check.finds}


@pytest.mark.parametrize("word", [*Verdict, *Severity, *Usage])
def test_every_api_value_is_documented(word: str) -> None:
    assert f"`{word}`" in TEXT


def test_documented_points_match_the_score() -> None:
    header = re.search(r"^\| check \| (.*) \|$", SCORE, re.MULTILINE)
    assert header is not None
    usages = [Usage(cell.strip("` ")) for cell in header[1].split("|")]
    table = {row[0].strip("`"): row[1:] for row in rows(SCORE)}
    documented = {
        usage: {check: int(cells[at]) for check, cells in table.items() if cells[at] != "–"}
        for at, usage in enumerate(usages)
    }
    assert documented == score.POINTS
    assert {sum(points.values()) for points in documented.values()} == {100}


def test_documented_grades_match_the_score() -> None:
    documented = re.findall(r"^\| ([A-F]) \| (\d+) \|$", SCORE, re.MULTILINE)
    assert tuple((int(least), letter) for letter, least in documented) == score.GRADES
