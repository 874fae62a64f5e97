"""Events as plain text: a heading, the evidence, and what to do."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

MAX_VALUE = 300
MAX_ITEMS = 12
TEST_LINE = "This is a test message from mailwatch. Alerts for this channel arrive here."

_PREFIX = {
    "alert.reopened": "Reopened: ",
    "alert.escalated": "Escalated: ",
    "alert.reminded": "Still open: ",
    "alert.resolved": "Resolved: ",
}

Event = Mapping[str, Any]


def alert_of(event: Event) -> Mapping[str, Any]:
    """Return the alert of the event; empty for a test event."""
    alert: Mapping[str, Any] = event["data"].get("alert", {})
    return alert


def heading(event: Event) -> str:
    """Return the heading: severity, kind of change, title and domain."""
    alert = alert_of(event)
    if not alert:
        return "Test message from mailwatch"
    text = f"[{alert['severity']}] {_PREFIX.get(event['type'], '')}{alert['title']}"
    return plain(f"{text} – {alert['domainName']}" if alert["domainName"] else text)


def group_heading(events: Sequence[Event]) -> str:
    """Return the heading of the worst event, with the number of the others."""
    rest = len(events) - 1
    return f"{heading(events[0])} (+{rest} related)" if rest else heading(events[0])


def related(events: Sequence[Event]) -> list[str]:
    """Return the headings of the events after the first one, limited in number."""
    headings = [heading(event) for event in events[1 : MAX_ITEMS + 1]]
    rest = len(events) - 1 - len(headings)
    return [*headings, f"and {rest} more"] if rest else headings


def related_text(events: Sequence[Event]) -> str:
    """Return the other events of one cause as plain text; empty without others."""
    lines = related(events)
    return "\n".join(["", "", "Same cause:", *(f"- {line}" for line in lines)]) if lines else ""


def facts(alert: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the evidence as (name, text) pairs, limited in number and size.

    Each item of a list is a line of its text.
    """
    rows = [(_spaced(name), _shown(value)) for name, value in alert["evidence"].items()]
    return rows[:MAX_ITEMS]


def fix(alert: Mapping[str, Any]) -> str | None:
    """Return the DNS change that fixes the problem, as an instruction; None without a fix."""
    change = alert["fix"]
    if not change:
        return None
    record, before, after = f"{change['type']} record", change["before"], change["after"]
    texts = {
        "publish": f"Publish this {record} at {change['name']}:\n{after}",
        "replace": f"Replace the {record} at {change['name']}\n{before}\nwith\n{after}",
        "remove": f"Remove this {record} at {change['name']}:\n{before}",
    }
    return texts.get(change["action"])


def text(event: Event) -> str:
    """Return the event as plain text: the body, and the link to the documentation of its type."""
    url = runbook(event)
    if url is None:
        return body(event)
    return f"{body(event)}\n\nTime: {time(event)}\nWhat this means and what to do: {url}"


def time(event: Event) -> str:
    """Return when the event happened, with the time zone."""
    return f"{datetime.fromisoformat(event['timestamp']).astimezone(UTC):%d %b %Y %H:%M} UTC"


def runbook(event: Event) -> str | None:
    """Return the URL of the documentation of the alert type; None for a test event."""
    url: str | None = alert_of(event).get("runbook")
    return url


def body(event: Event) -> str:
    """Return the message, the evidence and the fix as plain text, without links."""
    alert = alert_of(event)
    if not alert:
        return TEST_LINE
    lines = [plain(alert["message"]), ""]
    if note := event["data"]["transition"]["note"]:
        lines += [f"Status change: {plain(note)}", ""]
    for name, value in facts(alert):
        lines.append(f"{name}: " + value.replace("\n", "\n    "))
    if event["type"] != "alert.resolved" and (advice := fix(alert)):
        lines += ["", advice]
    return "\n".join(lines).rstrip()


def plain(text: str) -> str:
    """Return the text on one line and without unprintable characters, for headers and titles."""
    joined = " ".join(text.split())
    return "".join(character for character in joined if character.isprintable())


def _spaced(name: str) -> str:
    """The words of a camelCase or snake_case name, separated by spaces."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name.replace("_", " "))
    return plain(words)


def _shown(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = "\n".join(_render(item) for item in value[:MAX_ITEMS]) or "none"
    else:
        shown = _render(value)
    return shown if len(shown) <= MAX_VALUE else f"{shown[: MAX_VALUE - 1]}…"


def _render(value: Any) -> str:
    if isinstance(value, str):
        return plain(value)
    return "none" if value is None else plain(json.dumps(value, ensure_ascii=False))
