"""The request that each chat or paging service takes for one event."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from app.channels import chat_text as text

READ_MORE = "What this means and what to do"
_URGENT = frozenset(("critical", "high"))
_PRIORITY = {"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "info": "P5"}
_URGENCY = {"info": "low"}  # PagerTree: the others have the name that we use
_TEAMS_PATH = "/triggers/manual/paths/invoke"
TEAMS_LINES = 100  # a message has at most 28 KB
_SUPPRESS_EMBEDS = 4  # a flag of Discord's messages


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """The content of a message about one event.

    body       the text below the heading
    url        the page that says what the alert means; None for a test
    severity   of the alert; ``info`` for a test
    dedup_key  the same for all events of one alert; None for a test
    """

    heading: str
    body: str
    url: str | None = None
    severity: str = "info"
    is_resolved: bool = False
    dedup_key: str | None = None

    @property
    def full_body(self) -> str:
        """The body with the URL below it, for services that have no field for links."""
        return self.body if self.url is None else f"{self.body}\n\n{READ_MORE}: {self.url}"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A POST to ``https://host/path``."""

    host: str
    path: str
    body: bytes
    headers: Mapping[str, str]


Parts = Mapping[str, str]  # of an address: the named groups of its pattern
Build = Callable[[Parts, ChatMessage], ChatRequest]


def discord(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return Markdown without mentions, with a code block for text from untrusted input."""
    link = f"\n{READ_MORE}: <{message.url}>" if message.url else ""
    body = text.fit(message.body, 1400, text.code_block)
    content = f"**{text.fit(message.heading, 300, text.discord)}**\n```\n{body}\n```{link}"
    return _json(
        "discord.com",
        f"/api/webhooks/{parts['id']}/{parts['token']}",
        {"content": content, "allowed_mentions": {"parse": []}, "flags": _SUPPRESS_EMBEDS},
    )


def google_chat(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return a card."""
    widgets: list[Any] = [
        {"textParagraph": {"text": text.fit(message.body, 3500, text.google_chat)}}
    ]
    if message.url:
        button = {"text": READ_MORE, "onClick": {"openLink": {"url": message.url}}}
        widgets.append({"buttonList": {"buttons": [button]}})
    heading = {
        "textParagraph": {"text": f"<b>{text.fit(message.heading, 500, text.google_chat)}</b>"}
    }
    card = {"sections": [{"widgets": [heading, *widgets]}]}
    token = quote(parts["token"].replace("%3D", "="), safe="")
    return _json(
        "chat.googleapis.com",
        f"/v1/spaces/{parts['space']}/messages?key={parts['key']}&token={token}",
        {
            "cardsV2": [{"cardId": "alert", "card": card}],
            "fallbackText": text.fit(message.heading, 500, text.without_tags),
        },
    )


def slack(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return blocks of plain text."""
    heading = text.fit(message.heading, 500, text.slack)
    shown = text.fit(f"{message.heading}\n\n{message.body}", 2900, text.slack)
    blocks: list[Any] = [_slack_section({"type": "plain_text", "text": shown, "emoji": False})]
    if message.url:
        link = f"<{text.slack(message.url)}|{READ_MORE}>"
        blocks.append(_slack_section({"type": "mrkdwn", "text": link, "verbatim": True}))
    return _json(
        "hooks.slack.com",
        f"/services/{parts['team']}/{parts['hook']}/{parts['token']}",
        {
            "text": heading,
            "mrkdwn": False,
            "parse": "none",
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": blocks,
        },
    )


def _slack_section(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "section", "text": content}


def teams(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return an adaptive card; text runs have no Markdown, and mentions would need an entity."""
    lines = text.fit(message.body, 6000).split("\n")[:TEAMS_LINES]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [_teams_line(text.fit(message.heading, 500), is_heading=True)]
        + [_teams_line(line) for line in lines if line],
        "msteams": {"width": "full"},
    }
    if message.url:
        card["actions"] = [{"type": "Action.OpenUrl", "title": READ_MORE, "url": message.url}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    host = parts["host"]
    is_direct = host.endswith(".powerplatform.com")
    prefix = parts.get("prefix") or ("/powerautomate/automations/direct" if is_direct else "")
    version = parts.get("version") or ("1" if is_direct else "2016-06-01")
    query = f"api-version={version}&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={parts['signature']}"
    return _json(
        host,
        f"{prefix}/workflows/{parts['workflow']}{_TEAMS_PATH}?{query}",
        {"type": "message", "attachments": [attachment]},
    )


def _teams_line(line: str, *, is_heading: bool = False) -> dict[str, Any]:
    run: dict[str, Any] = {"type": "TextRun", "text": line}
    if is_heading:
        run |= {"weight": "Bolder", "size": "Medium"}
    return {"type": "RichTextBlock", "inlines": [run]}


def webex(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return a message in the field for plain text; only ``markdown`` has mentions."""
    content = text.fit(f"{message.heading}\n\n{message.full_body}", 1800)
    return _json("webexapis.com", f"/v1/webhooks/incoming/{parts['token']}", {"text": content})


def telegram(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return HTML; a mention or a URL in ``pre`` is not a link."""
    heading = text.fit(message.heading, 400, text.telegram)
    content = f"<code>{heading}</code>\n<pre>{text.fit(message.body, 3000, text.telegram)}</pre>"
    if message.url:
        content += f'\n<a href="{text.attribute(message.url)}">{READ_MORE}</a>'
    payload: dict[str, Any] = {
        "chat_id": parts["chat"],
        "text": content,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if parts.get("topic"):
        payload["message_thread_id"] = int(parts["topic"])
    return _json("api.telegram.org", f"/bot{parts['token']}/sendMessage", payload)


def line(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return a text message; it has no markup."""
    content = text.fit(f"{message.heading}\n\n{message.full_body}", 4500)
    return _json(
        "api.line.me",
        "/v2/bot/message/push",
        {"to": parts["to"], "messages": [{"type": "text", "text": content}]},
        Authorization=f"Bearer {parts['token']}",
    )


def pushover(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return plain text, as ``html`` is not set."""
    fields = {
        "token": parts["token"],
        "user": parts["user"],
        "title": text.fit(message.heading, 240),
        "message": text.fit(message.body, 1000),
        "priority": "1" if message.severity in _URGENT and not message.is_resolved else "0",
    }
    if message.url:
        fields |= {"url": message.url, "url_title": READ_MORE}
    return _form("api.pushover.net", "/1/messages.json", fields)


def twilio(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return a short text message: the heading and the link."""
    content = text.fit(message.heading, 300) + (f"\n{message.url}" if message.url else "")
    account = parts["account"]
    login = base64.b64encode(f"{account}:{parts['token']}".encode()).decode()
    return _form(
        "api.twilio.com",
        f"/2010-04-01/Accounts/{account}/Messages.json",
        {"From": parts["sender"], "To": parts["to"], "Body": content},
        Authorization=f"Basic {login}",
    )


def pagerduty(host: str) -> Build:
    """Return the builder of events of API version 2, for the region of this host."""

    def build(parts: Parts, message: ChatMessage) -> ChatRequest:
        severity = {"critical": "critical", "high": "error", "medium": "warning"}
        event: dict[str, Any] = {
            "routing_key": parts["key"],
            "event_action": "resolve" if message.is_resolved else "trigger",
            "client": "mailwatch",
            "payload": {
                "summary": text.fit(message.heading, 1000),
                "source": "mailwatch",
                "severity": severity.get(message.severity, "info"),
                "custom_details": {"details": text.fit(message.body, 8000)},
            },
        }
        if message.dedup_key:
            event["dedup_key"] = message.dedup_key
        if message.url:
            event["links"] = [{"href": message.url, "text": READ_MORE}]
        return _json(host, "/v2/enqueue", event)

    return build


def opsgenie(host: str) -> Build:
    """Return the builder of requests that open or close an alert, for the region of this host."""

    def build(parts: Parts, message: ChatMessage) -> ChatRequest:
        key = f"GenieKey {parts['key']}"
        note = text.fit(message.full_body, 10_000, text.without_tags)
        if message.is_resolved and message.dedup_key:
            path = f"/v2/alerts/{message.dedup_key}/close?identifierType=alias"
            return _json(host, path, {"source": "mailwatch", "note": note}, Authorization=key)
        alert: dict[str, Any] = {
            "message": text.fit(message.heading, 130, text.without_tags),
            "description": note,
            "source": "mailwatch",
            "priority": _PRIORITY.get(message.severity, "P5"),
        }
        if message.dedup_key:
            alert["alias"] = message.dedup_key
        return _json(host, "/v2/alerts", alert, Authorization=key)

    return build


def pagertree(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return an event of an incident."""
    event: dict[str, Any] = {
        "id": message.dedup_key or "mailwatch-test",
        "event_type": "resolve" if message.is_resolved else "create",
    }
    if not message.is_resolved:
        event |= {
            "title": text.fit(message.heading, 250, text.without_tags),
            "description": text.fit(message.full_body, 8000, text.without_tags),
            "urgency": _URGENCY.get(message.severity, message.severity),
        }
    return _json("api.pagertree.com", f"/integration/{parts['key']}", event)


def signl4(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return an event of an alert."""
    event = {
        "title": text.fit(message.heading, 250, text.without_tags),
        "body": text.fit(message.full_body, 8000, text.without_tags),
        "X-S4-SourceSystem": "mailwatch",
    }
    if message.dedup_key:
        status = "resolved" if message.is_resolved else "new"
        event |= {"X-S4-ExternalID": message.dedup_key, "X-S4-Status": status}
    return _json("connect.signl4.com", f"/webhook/{parts['key']}/", event)


def splunk(parts: Parts, message: ChatMessage) -> ChatRequest:
    """Return a REST event of Splunk On-Call."""
    kind = "CRITICAL" if message.severity in _URGENT else "WARNING"
    if message.is_resolved:
        kind = "RECOVERY"
    elif message.dedup_key is None:
        kind = "INFO"
    event = {
        "entity_id": message.dedup_key or "mailwatch-test",
        "message_type": kind,
        "entity_display_name": text.fit(message.heading, 250, text.without_tags),
        "state_message": text.fit(message.full_body, 8000, text.without_tags),
        "monitoring_tool": "mailwatch",
    }
    path = f"/integrations/generic/20131114/alert/{parts['key']}/{parts['route']}"
    return _json("alert.victorops.com", path, event)


def _json(host: str, path: str, payload: Mapping[str, Any], **headers: str) -> ChatRequest:
    body = json.dumps(payload, ensure_ascii=False).encode()
    return ChatRequest(
        host=host, path=path, body=body, headers={"Content-Type": "application/json", **headers}
    )


def _form(host: str, path: str, fields: Mapping[str, str], **headers: str) -> ChatRequest:
    kind = "application/x-www-form-urlencoded"
    return ChatRequest(
        host=host,
        path=path,
        body=urlencode(fields).encode(),
        headers={"Content-Type": kind, **headers},
    )
