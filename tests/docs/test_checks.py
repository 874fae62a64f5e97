"""docs/checks.md describes every finding and how the score is calculated."""

import re

import pytest

from app.analysis.scan import score
from app.checks import CHECKS, FINDING_TYPES
from app.checks.engine.types import Check, FindingType, Severity, Usage, Verdict
from devtools import finding_tables
from tests.support.paths import DOCS

TEXT = (DOCS / "checks.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
SCORE = TEXT.partition("\n## The score\n")[2]


def rows(text: str) -> list[list[str]]:
    """The cells of the table rows that begin with a name in backticks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_check_has_a_section_in_the_order_of_a_report() -> None:
    described = re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)
    assert described == [check.name for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_table_of_the_check_matches_the_code(check: Check) -> None:
    assert finding_tables.table(check) in SECTIONS[check.name], "run ./dev docs"
    codes = [row[0].strip("`") for row in rows(SECTIONS[check.name])]
    assert codes == list(dict.fromkeys(kind.code for kind in check.finds))


def test_page_with_another_table_is_written_from_the_code() -> None:
    assert finding_tables.page(TEXT) == TEXT
    assert (
        finding_tables.page(TEXT.replace("| `spf.missing` | high |", "| `spf.missing` | low |"))
        == TEXT
    )


@pytest.mark.parametrize("kind", FINDING_TYPES.values(), ids=lambda kind: kind.code)
def test_texts_of_a_finding_are_complete_sentences(kind: FindingType) -> None:
    for text in (kind.why, kind.remediation, kind.note):
        assert not text or (re.match(r"[A-Z0-9`]", text) and text.endswith(".")), text
        assert not re.search(r"[|\n]|  ", text), text
        assert text.count("`") % 2 == 0, text
    assert kind.why
    assert kind.why != f"{kind.summary}."
    assert ". " not in kind.why, "one sentence"
    assert 1 <= len(re.findall(r"\.(?= |$)", kind.remediation)) <= 2
    severities = "|".join(Severity)
    assert not re.search(rf"\b({severities})\b", kind.why.lower())


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
