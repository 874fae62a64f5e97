"""The documents are wrapped, and their links and paths lead to files that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import DOCS, ROOT

MAX_COLUMNS = 100
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "clients").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
TARGET = re.compile(r"\]\([^)]*\)")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines outside of code blocks."""
    is_code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub derives them."""
    headings = [line.lstrip("# ") for _, line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prose_is_wrapped(page: Path) -> None:
    """Tables, examples and the targets of links are excepted."""
    long_lines = [
        number
        for number, line in prose(page)
        if not line.lstrip().startswith(("|", "→")) and len(TARGET.sub("]()", line)) > MAX_COLUMNS
    ]
    assert long_lines == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_existing_headings(page: Path) -> None:
    broken = []
    for number, line in prose(page):
        for path, anchor in LINK.findall(line):
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                broken.append(f"line {number}: {path}")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                broken.append(f"line {number}: {path}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_has_a_title_and_text(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ")
    assert text.count("\n") > 1


PATH = re.compile(
    r"`((?:app|worker|tests|devtools|demo|bench|migrations|docs|clients)/[\w./-]+\.\w+)`"
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    named = PATH.findall("\n".join(line for _, line in prose(page)))
    assert [path for path in named if not (ROOT / path).exists()] == []
