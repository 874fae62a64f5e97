"""docs/operating.md documents every setting with its default, and every command."""

import re
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.cli import init_app
from app.settings import Settings

TEXT = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+?) \|", TEXT, re.MULTILINE))
OF_PROCESSES = {"PORT", "BIND", "WEB_CONCURRENCY", "WEB_THREADS", "FORWARDED_ALLOW_IPS"}


def test_every_setting_is_documented_and_no_other() -> None:
    assert set(ROWS) == {field.name.upper() for field in fields(Settings)} | OF_PROCESSES


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_documented_default_matches_the_setting(field: Any) -> None:
    written = ROWS[field.name.upper()].strip("`")
    if field.name == "dns_nameservers":
        assert written == "those of `/etc/resolv.conf"
    else:
        assert written == _as_text(field.default)


def _as_text(value: object) -> str:
    if value is MISSING:
        return "required"
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_command_is_documented() -> None:
    app = Flask("app")
    init_app(app)
    for name, group in app.cli.commands.items():
        for command in getattr(group, "commands", {"": None}):
            written = re.search(rf"^\| `{name} ?{command}\b", TEXT, re.MULTILINE)
            assert written, f"{name} {command}"


DECISIONS = Path(__file__).parent.parent / "docs" / "decisions"
SECTIONS = ["Status", "Context", "Decision", "Consequences"]


def test_every_decision_has_a_unique_number_all_sections_and_an_index_entry() -> None:
    files = sorted(DECISIONS.glob("0*.md"))
    index = (DECISIONS / "README.md").read_text()
    numbers = [file.name[:4] for file in files]
    assert len(numbers) == len(set(numbers))
    for file in files:
        text = file.read_text()
        title = text.partition("\n")[0].removeprefix(f"# {file.name[:4]}. ")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS, file.name
        assert f"| [{file.name[:4]}]({file.name}) | {title} |" in index


def test_the_index_explains_every_missing_number() -> None:
    numbers = {int(file.name[:4]) for file in DECISIONS.glob("0*.md")}
    missing = set(range(1, max(numbers))) - numbers
    explained = (DECISIONS / "README.md").read_text().partition("## Missing numbers")[2]
    assert all(f"{number:04}" in explained for number in missing)
