"""Words that the style guide replaces with the standard terms."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BANNED = re.compile(
    r"\b(mend(s|ed|ing)?|anew|whoever|whosoever|somebody|nobody|anybody|doorbells?|bells?|rung"
    r"|beside|told of|tells? of|is told|are told|became of|becomes of|takes? back|gives? back"
    r"|gave back|look-ups?|sub-domains?|time-outs?|e-mails?|stands for good|asked for|for want of"
    r"|of its own accord|wakes|lots of|judg(e|es|ed|ing|ements?)|troubles?|rests? (up)?on"
    r"|for lack of|in turn|of ours|thereby|whereby|henceforth|lest|go(es)? on|by hand|unasked"
    r"|askable|wants? no more)\b",
    re.IGNORECASE,
)
TEXTS = (".py", ".md", ".html", ".toml", ".txt", ".yaml", ".yml")
FOLDERS = ("app", "worker", "docs", "tests", "devtools", "demo", "bench", "clients")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml")
# A file, and a part of the line that may have the word: a protocol's own, or a quotation.
EXCEPTIONS = (
    ("tests/architecture/test_words.py", ""),
    ("docs/contributing/style.md", ""),
    ("", "/home/nobody"),
    ("CHANGELOG.md", "`trouble` of `starttls`"),  # former names
    ("common_passwords.txt", ""),
    ("", "nobody.family.test"),  # a name of tests/data/zones
)


def files() -> list[Path]:
    """Return the text files of the project."""
    folders = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    paths = [*folders, *(ROOT / name for name in FILES)]
    return [path for path in paths if path.is_file() and path.suffix in TEXTS and is_ours(path)]


def is_ours(path: Path) -> bool:
    """Whether the words of the file are checked."""
    parts = path.relative_to(ROOT).parts
    return parts[:2] != ("tests", "data") and "vendor" not in parts


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_the_standard_words(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    hits = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        is_exception = any(name.endswith(file) and part in line for file, part in EXCEPTIONS)
        if not is_exception and (match := BANNED.search(line)):
            hits.append(f"{name}:{number}: {match[0]}")
    assert hits == []
