"""Events in words for people: one line, the lines below it, and what to do."""

import json
from collections.abc import Mapping, Sequence
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
    """The alert that it is about; empty for a test."""
    found: Mapping[str, Any] = event["data"].get("alert", {})
    return found


def heading(event: Event) -> str:
    """Its one line: how bad, what became of it, what, and where."""
    alert = alert_of(event)
    if not alert:
        return "Test of this channel"
    text = f"[{alert['severity']}] {_PREFIX.get(event['type'], '')}{alert['title']}"
    return plain(f"{text} – {alert['domainName']}" if alert["domainName"] else text)


def facts(alert: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The evidence, name by name; the items of a list are lines, and all is bounded."""
    found = [(_spaced(name), _shown(value)) for name, value in alert["evidence"].items()]
    return found[:MAX_ITEMS]


def fix(alert: Mapping[str, Any]) -> str | None:
    """What to change, in a sentence."""
    found = alert["fix"]
    if not found:
        return None
    values = {
        "publish": f"Publish at {found['name']} ({found['type']}): {found['after']}",
        "replace": f"At {found['name']} ({found['type']}) replace\n{found['before']}\nwith\n"
        f"{found['after']}",
        "remove": f"Remove at {found['name']} ({found['type']}): {found['before']}",
    }
    return values.get(found["action"])


def text(event: Event) -> str:
    """The event as plain text: the body, and where to read what it means."""
    url = runbook(event)
    return body(event) if url is None else f"{body(event)}\n\nWhat this means and what to do: {url}"


def runbook(event: Event) -> str | None:
    """The URL of the page about alerts of this type; None for a test."""
    url: str | None = alert_of(event).get("runbook")
    return url


def body(event: Event) -> str:
    """What happened, the evidence, and what to change, as plain text without a link of ours."""
    alert = alert_of(event)
    if not alert:
        return TEST_LINE
    lines = [plain(alert["message"]), ""]
    if note := event["data"]["transition"]["note"]:
        lines += [f"What happened: {plain(note)}", ""]
    for name, value in facts(alert):
        lines.append(f"{name}: " + value.replace("\n", "\n    "))
    if event["type"] != "alert.resolved" and (advice := fix(alert)):
        lines += ["", advice]
    return "\n".join(lines).rstrip()


def plain(text: str) -> str:
    """On one line, without what is not printable: a header or a title takes nothing else."""
    joined = " ".join(text.split())
    return "".join(character for character in joined if character.isprintable())


def _spaced(name: str) -> str:
    """``certificateNotAfter`` and ``certificate_not_after`` read alike."""
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
