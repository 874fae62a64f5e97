"""docs/operating.md documents every setting with its default, and every command."""

import re

from flask import Flask

from app.cli import init_app
from app.services.core.lifecycle_log import Lifecycle
from app.settings import Settings
from devtools import settings_table
from tests.support.paths import DOCS

TEXT = (DOCS / "operating.md").read_text()


def test_settings_table_matches_the_code() -> None:
    assert settings_table.page(TEXT) == TEXT, "run ./dev docs"
    assert settings_table.table() in TEXT


def test_every_setting_has_a_description() -> None:
    assert settings_table.descriptions().keys() == Settings.model_fields.keys()


def test_every_command_is_documented() -> None:
    app = Flask("app")
    init_app(app)
    for name, group in app.cli.commands.items():
        for command in getattr(group, "commands", {"": None}):
            written = re.search(rf"^\| `{name} ?{command}\b", TEXT, re.MULTILINE)
            assert written, f"{name} {command}"


DECISIONS = DOCS / "decisions"
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


def test_every_lifecycle_event_of_the_log_is_documented() -> None:
    (section,) = re.findall(r"### Lifecycle events in the log\n(.*?)\n## ", TEXT, re.DOTALL)
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    assert documented - {"event"} == set(Lifecycle)
