"""The HTML of alert emails: inline styles, no images, no external resources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from app.channels import text as channels_text
from app.channels.text import Event

PROBLEM_EVENTS = frozenset(("alert.opened", "alert.reopened", "alert.escalated", "alert.reminded"))
_RANK = ("critical", "high", "medium", "low", "info")
_COLORS = {
    "critical": "#a3122a",
    "high": "#b4430c",
    "medium": "#80600a",
    "low": "#3d5a80",
    "info": "#56616b",
}
_RESOLVED = "#1c6b3c"
_TEXT = "color:#1d2329;font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif"
MUTED = "color:#56616b;font-size:13px"
_CODE = "font:13px/1.5 ui-monospace,Consolas,monospace;overflow-wrap:anywhere"
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light"><title>{title}</title></head>'
    '<body style="margin:0;padding:24px 12px;background:#f1f3f5">'
    '<table role="presentation" cellpadding="0" cellspacing="0" align="center" width="100%"'
    ' style="max-width:600px;background:#fff;border:1px solid #dfe3e7;border-radius:8px">'
    '<tr><td style="padding:24px 28px;{text}">{body}</td></tr></table>'
    '<p style="max-width:600px;margin:16px auto 0;text-align:center;{muted};'
    'font-family:system-ui,sans-serif">{foot}</p></body></html>'
)


@dataclass(frozen=True, slots=True)
class Digest:
    """The events since the last digest: problems, most severe first, and resolved alerts."""

    problems: Sequence[Event]
    resolved: Sequence[Event]
    since: str

    @classmethod
    def of(cls, events: Sequence[Event], since: str) -> "Digest":
        """Return the digest of the events; only the last event of each alert counts."""
        last = {channels_text.alert_of(event).get("id", event["id"]): event for event in events}
        events = list(last.values())
        return cls(
            sorted((event for event in events if event["type"] in PROBLEM_EVENTS), key=_rank),
            [event for event in events if event["type"] not in PROBLEM_EVENTS],
            since,
        )

    @property
    def heading(self) -> str:
        """The subject and heading of the digest."""
        count = len(self.problems)
        problems = f"{count} problem{'' if count == 1 else 's'}"
        return f"{problems}, {len(self.resolved)} resolved since {self.since}"

    def text(self) -> str:
        """Return the digest as plain text."""
        lines = [self.heading, ""]
        for event in (*self.problems, *self.resolved):
            lines += [
                channels_text.heading(event),
                f"  {channels_text.alert_of(event).get('runbook', '')}",
            ]
        return "\n".join(lines)

    def html(self, base_url: str, foot: str) -> str:
        """Return the digest as an HTML page."""
        rows = "".join(map(_row, (*self.problems, *self.resolved)))
        body = (
            f'<h1 style="margin:0 0 16px;font-size:20px;line-height:1.3">{escape(self.heading)}'
            f'</h1><table cellpadding="0" cellspacing="0" width="100%">{rows}</table>'
            f"{button(base_url + '/alerts', 'View alerts')}"
        )
        return page(self.heading, body, foot)


def footer(reason: str, unsubscribe_url: str, base_url: str) -> str:
    """Return the footer: why the email was sent, and links to change or stop that, if any."""
    links = (
        (f"{base_url}/settings/notifications", "Manage notifications"),
        (unsubscribe_url, "Unsubscribe"),
    )
    shown = " · ".join(
        f'<a href="{escape(url)}" style="color:#56616b">{label}</a>' for url, label in links if url
    )
    return f"{escape(reason)}<br>{shown}"


def render_events(events: Sequence[Event], base_url: str, foot: str) -> str:
    """Return the HTML page for the events of one cause: the first in full, then the others."""
    event = events[0]
    alert = channels_text.alert_of(event)
    if not alert:
        return page(
            "Test message", f"<p style='margin:0'>{escape(channels_text.TEST_LINE)}</p>", foot
        )
    where = alert["domainName"] or "Your account"
    note = event["data"]["transition"]["note"]
    parts = [
        f'<p style="margin:0 0 12px">{_badge(event)}'
        f' <span style="{MUTED}">{escape(where)} · {channels_text.time(event)}</span></p>',
        f'<h1 style="margin:0 0 12px;font-size:20px;line-height:1.3">{escape(alert["title"])}</h1>',
        _message(alert),
        f'<p style="margin:0 0 16px">Status change: {escape(note)}</p>' if note else "",
        _facts(channels_text.facts(alert)),
        _fix(None if event["type"] == "alert.resolved" else channels_text.fix(alert)),
        _related(events[1:]),
        button(f"{base_url}/alerts/{alert['id']}", "View alert"),
        f'<p style="margin:16px 0 0"><a href="{escape(alert["runbook"])}" style="color:#1a5fb4">'
        "What this means and what to do</a></p>",
    ]
    return page(channels_text.group_heading(events), "".join(parts), foot)


def _related(events: Sequence[Event]) -> str:
    """The other alerts of the cause, as a table."""
    if not events:
        return ""
    rows = "".join(map(_row, events))
    return (
        '<p style="margin:0 0 6px;font-weight:600">Same cause</p>'
        f'<table cellpadding="0" cellspacing="0" width="100%" style="margin:0 0 16px">{rows}'
        "</table>"
    )


def _message(alert: Mapping[str, Any]) -> str:
    """The message without a first sentence that only repeats the title."""
    message = channels_text.plain(alert["message"])
    rest = message.removeprefix(
        f"{alert['domainName']}: {channels_text.plain(alert['title'])}."
    ).strip()
    return f'<p style="margin:0 0 16px">{escape(rest)}</p>' if rest else ""


def page(title: str, body: str, foot: str) -> str:
    """Return the HTML page of an email."""
    return _PAGE.format(title=escape(title), body=body, text=_TEXT, muted=MUTED, foot=foot)


def _badge(event: Event) -> str:
    severity = channels_text.alert_of(event)["severity"]
    is_resolved = event["type"] == "alert.resolved"
    color = _RESOLVED if is_resolved else _COLORS[severity]
    label = "resolved" if is_resolved else severity
    return (
        f'<span style="display:inline-block;padding:2px 10px;border-radius:10px;color:#fff;'
        f'background:{color};font-size:13px;font-weight:600">{label}</span>'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    rows = "".join(
        f'<tr><td style="padding:4px 16px 4px 0;vertical-align:top;white-space:nowrap;{MUTED}">'
        f'{escape(name)}</td><td style="padding:4px 0;{_CODE};white-space:pre-line">'
        f"{escape(value)}</td></tr>"
        for name, value in facts
    )
    return f'<table cellpadding="0" cellspacing="0" style="margin:0 0 16px">{rows}</table>'


def _fix(advice: str | None) -> str:
    if advice is None:
        return ""
    return (
        f'<p style="margin:0 0 6px;font-weight:600">What to change</p>'
        f'<pre style="margin:0 0 16px;padding:12px;background:#f1f3f5;border-radius:6px;'
        f'white-space:pre-wrap;{_CODE}">{escape(advice)}</pre>'
    )


def _row(event: Event) -> str:
    alert = channels_text.alert_of(event)
    if not alert:
        return ""
    where = alert["domainName"] or "account"
    return (
        f'<tr><td style="padding:10px 12px 10px 0;vertical-align:top;border-top:1px solid #dfe3e7">'
        f'{_badge(event)}</td><td style="padding:10px 0;border-top:1px solid #dfe3e7">'
        f'<a href="{escape(alert["runbook"])}" style="color:#1d2329;font-weight:600;'
        f'text-decoration:none">{escape(alert["title"])}</a><br>'
        f'<span style="{MUTED};overflow-wrap:anywhere">{escape(where)}</span></td></tr>'
    )


def button(url: str, label: str) -> str:
    """Return a link that looks like a button."""
    return (
        f'<p style="margin:8px 0 0"><a href="{escape(url)}" '
        f'style="display:inline-block;'
        f"padding:9px 18px;border-radius:6px;background:#1a5fb4;color:#fff;text-decoration:none;"
        f'font-weight:600">{label}</a></p>'
    )


def _rank(event: Event) -> int:
    severity = channels_text.alert_of(event).get("severity", "info")
    return _RANK.index(severity)
