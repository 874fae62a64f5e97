"""The log lines of a local service in a form for people.

The service writes JSON objects. On a terminal, people read the time, the level and the message.
Left out are successful requests, because a dashboard page alone causes several of them; each stored
report, because its file has a line; and the ids of lines without a problem.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SHOWN_APART = frozenset({"at", "level", "logger", "message", "traceback"})
_DETAILS = frozenset({"event", "scans", "report_files"})
_FIRST_ERROR_STATUS = 400


def readable(line: str) -> str | None:
    """Return a log line for people: time, level, message, fields. Other text is unchanged.

    returns  None for a line that is left out
    """
    text = line.rstrip()
    if not text.startswith("{"):
        return text
    try:
        entry = json.loads(text)
    except ValueError:
        return text
    if not isinstance(entry, dict) or "message" not in entry:
        return text
    if _is_successful_request(entry) or entry.get("event") == "report.stored":
        return None
    return _written(entry)


def _is_successful_request(entry: Mapping[str, Any]) -> bool:
    status = entry.get("status")
    if entry.get("logger") != "access" or not isinstance(status, int):
        return False
    return status < _FIRST_ERROR_STATUS


def _written(entry: Mapping[str, Any]) -> str:
    level = str(entry.get("level", ""))
    parts = [
        _local_time(str(entry.get("at", ""))),
        "" if level == "info" else level.upper(),
        str(entry["message"]),
        *(
            f"{name}={_value(value)}"
            for name, value in entry.items()
            if _is_shown(name, value, level)
        ),
    ]
    text = " ".join(part for part in parts if part)
    return f"{text}\n{entry['traceback']}" if entry.get("traceback") else text


def _is_shown(name: str, value: Any, level: str) -> bool:
    if name in _SHOWN_APART:
        return False
    is_detail = value is None or name in _DETAILS or name.endswith(("_id", "_ids"))
    return level != "info" or not is_detail


def _local_time(at: str) -> str:
    try:
        return f"{datetime.fromisoformat(at).astimezone():%H:%M:%S}"
    except ValueError:
        return at


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
