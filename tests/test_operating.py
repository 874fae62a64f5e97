"""docs/operating.md tells an operator all there is to set, and what it is if it is not set."""

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
def test_the_default_is_the_real_one(field: Any) -> None:
    written = ROWS[field.name.upper()].strip("`")
    if field.name == "dns_nameservers":
        assert written == "those of `/etc/resolv.conf"
    else:
        assert written == _in_words(field.default)


def _in_words(value: object) -> str:
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
