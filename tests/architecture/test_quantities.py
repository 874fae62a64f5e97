"""A number and its noun agree, because texts use ``quantity``."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import module_of, sources, tree
from tests.support.paths import ROOT

NOUNS = (
    *("addresses", "alerts", "certificates", "checks", "days", "domains", "duplicates", "emails"),
    *("events", "files", "findings", "hours", "keys", "messages", "minutes", "records", "reports"),
    *("rows", "scans", "seconds", "senders", "servers", "sessions", "sources", "times", "weeks"),
)
PLURAL = re.compile(rf" (?:{'|'.join(NOUNS)})\b")
# Limits and other numbers that are never 1, such as the failed scans of an alert.
CONSTANT = re.compile(
    r"\b[A-Z][A-Z_]{2,}\b|limit|_max_|_total_seconds|wait|failed_scans|len\(served\)"
)
IN_TEMPLATES = re.compile(rf"\|\s*(?:number|length)\s*\}}\}} (?:{'|'.join(NOUNS)})\b")
TEMPLATES = sorted((ROOT / "app" / "web" / "templates").rglob("*.html"))


def plurals(node: ast.JoinedStr) -> Iterator[str]:
    """The values in a text that stand before a plural, unless they are constants."""
    for value, text in zip(node.values, node.values[1:], strict=False):
        if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
            continue
        source = ast.unparse(value.value)
        if PLURAL.match(str(text.value)) and not CONSTANT.search(source):
            yield f"line {node.lineno}: {source}{text.value!s}"


@pytest.mark.parametrize("path", [*sources("app"), *sources("worker")], ids=module_of)
def test_numbers_agree_with_their_nouns(path: Path) -> None:
    texts = (node for node in ast.walk(tree(path)) if isinstance(node, ast.JoinedStr))
    assert [plural for text in texts for plural in plurals(text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_show_numbers_with_agreeing_nouns(path: Path) -> None:
    text = path.read_text()
    assert [match.group() for match in IN_TEMPLATES.finditer(text)] == []
    assert "| capitalize" not in text  # it lowers the capitals of names such as TLS


def test_a_plural_after_a_number_is_detected() -> None:
    node = ast.parse('f"{report.count} messages, {MAX_FILES} files"', mode="eval").body
    assert isinstance(node, ast.JoinedStr)
    assert list(plurals(node)) == ["line 1: report.count messages, "]
