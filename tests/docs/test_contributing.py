"""The pages "Add a …" work: their examples are followed in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.paths import DOCS, ROOT

PAGES = sorted((DOCS / "contributing").glob("add-*.md"))
BLOCK = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One code block of a page."""

    language: str
    path: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the code blocks of a page without their indentation."""
    for _, language, path, text in BLOCK.findall(page):
        yield Block(language, path, dedent(text))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all files of the repository."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.rstrip("\0").split("\0"):
        if (ROOT / name).is_file() and not name.startswith("tests/data/"):
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return tmp_path


def test_commands_import_the_copy(copy: Path) -> None:
    assert run(copy, 'python -c "import app; print(app.__file__)"').startswith(str(copy))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_example_of_the_page_works(page: Path, copy: Path) -> None:
    written, commands = [], []
    for block in blocks(numbered(page.read_text(), copy)):
        if block.language == "console":
            commands += [line.removeprefix("$ ") for line in block.text.splitlines()]
        elif block.language == "diff":
            change(copy / block.path, block.text)
        else:
            write(copy / block.path, block.text)
            written.append(block.path)
    assert commands, "the page runs no test"
    run(copy, f"python -m ruff check {shlex.join(written)}")
    run(copy, f"python -m ruff format --check {shlex.join(written)}")
    for command in commands:
        run(copy, command)


def write(path: Path, text: str) -> None:
    """Write a new file of a page."""
    assert not path.exists(), f"{path} exists already"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def numbered(page: str, copy: Path) -> str:
    """Return the page with the numbers of the next and the latest migration."""
    latest = max(path.name[:4] for path in (copy / "migrations/versions").glob("0*.py"))
    return page.replace("NNNN", f"{int(latest) + 1:04}").replace("PPPP", latest)


def change(path: Path, diff: str) -> None:
    """Replace the old lines of the block by the new ones; ``…`` matches the rest of a line."""
    lines = diff.splitlines()
    old = [line[1:] for line in lines if not line.startswith("+")]
    pattern = "\n".join(re.escape(line).replace("…", "[^\n]*") for line in old)
    matches = list(re.finditer(rf"^{pattern}$", path.read_text(), re.MULTILINE))
    assert len(matches) == 1, f"{path.name} has {len(matches)} times:\n{diff}"
    existing = iter(matches[0][0].splitlines())
    new = []
    for line in lines:
        current = line[1:] if line.startswith("+") else next(existing)
        if not line.startswith("-"):
            new.append(current)
    text = matches[0].string
    path.write_text(text[: matches[0].start()] + "\n".join(new) + text[matches[0].end() :])


def run(copy: Path, command: str) -> str:
    """Run a command of the page in the copy, and return its output."""
    program, *arguments = shlex.split(command)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    start = [] if program == "python" else ["-m", program, *options]
    hidden = ("PYTHONPATH", "PYTEST_", "COVERAGE", "COV_")
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(hidden)}
    result = subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=copy,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}{result.stderr[-2000:]}"
    return result.stdout
