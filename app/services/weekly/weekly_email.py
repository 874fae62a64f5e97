"""The weekly summary of an account as an email: its subject, plain text and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.channels import email_html
from app.channels.email_html import MUTED
from app.channels.text import plain

_LINK = "color:#1a5fb4"


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence with a link, and what is said about it in a second line."""

    text: str
    url: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines below a title; ``empty`` is shown if there are none."""

    title: str
    lines: Sequence[Line]
    empty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryContent:
    """What the email says; the same for all recipients.

    period     the days that it is about, with their time zone
    schedule   when it is sent, with the time zone
    next_step  what to do first; None if nothing is to be done
    """

    account_name: str
    period: str
    schedule: str
    headline: str
    sections: Sequence[Section]
    next_step: Line | None
    base_url: str


@dataclass(frozen=True, slots=True)
class WeeklyEmail:
    """The parts of the email to one recipient."""

    subject: str
    text: str
    html: str


def compose(summary: SummaryContent, reason: str, unsubscribe_url: str) -> WeeklyEmail:
    """Return the email.

    reason           a sentence that says why the recipient gets it
    unsubscribe_url  unsubscribes the recipient without signing in; empty for a preview
    """
    title = plain(f"Weekly summary of {summary.account_name}: {summary.headline}")
    return WeeklyEmail(
        subject=title[:200],
        text=_text(summary, reason, unsubscribe_url),
        html=_html(summary, title, reason, unsubscribe_url),
    )


def _text(summary: SummaryContent, reason: str, unsubscribe_url: str) -> str:
    lines = [plain(summary.headline), summary.period, ""]
    for section in summary.sections:
        lines += [section.title, "-" * len(section.title)]
        for line in section.lines:
            lines.append(f"* {plain(line.text)}")
            lines += [f"  {plain(line.note)}"] if line.note else []
            lines.append(f"  {line.url}")
        lines += [] if section.lines else [section.empty]
        lines.append("")
    if summary.next_step:
        lines += [f"Next step: {plain(summary.next_step.text)}", summary.next_step.url, ""]
    lines += ["-- ", reason, summary.schedule]
    lines += [f"Unsubscribe: {unsubscribe_url}"] if unsubscribe_url else []
    return "\n".join(lines) + "\n"


def _html(summary: SummaryContent, title: str, reason: str, unsubscribe_url: str) -> str:
    body = [
        f'<h1 style="margin:0 0 4px;font-size:20px;line-height:1.3">{escape(summary.headline)}</h1>'
        f'<p style="margin:0 0 16px;{MUTED}">{escape(summary.period)}</p>',
        *map(_section, summary.sections),
    ]
    if step := summary.next_step:
        body += [
            '<p style="margin:16px 0 4px;font-weight:600">Next step</p>'
            f'<p style="margin:0 0 12px">{escape(step.text)}</p>',
            email_html.button(step.url, "View what to do"),
        ]
    foot = email_html.footer(f"{reason} {summary.schedule}", unsubscribe_url, summary.base_url)
    return email_html.page(title, "".join(body), foot)


def _section(section: Section) -> str:
    items = "".join(
        '<li style="margin:0 0 8px;overflow-wrap:anywhere">'
        f'<a href="{escape(line.url)}" style="{_LINK}">{escape(plain(line.text))}</a>'
        + (f'<br><span style="{MUTED}">{escape(plain(line.note))}</span>' if line.note else "")
        + "</li>"
        for line in section.lines
    )
    content = (
        f'<ul style="margin:0;padding-left:20px">{items}</ul>'
        if items
        else f'<p style="margin:0;{MUTED}">{escape(section.empty)}</p>'
    )
    return (
        f'<h2 style="margin:20px 0 8px;font-size:16px;line-height:1.3">{escape(section.title)}</h2>'
        f"{content}"
    )
