"""The lifecycle events in captured log lines."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.logs import JsonFormatter

Lines = Sequence[dict[str, Any]]


def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return the captured lifecycle lines as an operator gets them: parsed JSON, in order."""
    formatted = [
        orjson.loads(JsonFormatter().format(line))
        for line in caplog.records
        if "event" in vars(line)
    ]
    assert {line["level"] for line in formatted} <= {"info"}
    return formatted


def events(caplog: pytest.LogCaptureFixture, prefix: str = "") -> list[str]:
    """Return the names of the captured events that begin with ``prefix``."""
    names: list[str] = [line["event"] for line in lines(caplog)]
    return [name for name in names if name.startswith(prefix)]
