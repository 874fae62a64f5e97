"""Chat and paging services: the formats of their addresses, and how events are sent to them.

Each form of an address is one regular expression that matches it as a whole. The host of a request
is a constant of its service, or below two domains of Microsoft's, and no part of an address holds
a character that could end a path segment. So an address has no options: nothing in it can change
where a request goes, how it connects, or what it carries beyond the credentials of the service.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.channels import chat_services, post, text
from app.channels.chat_services import Build, ChatMessage, Parts
from app.channels.text import Event
from app.channels.types import (
    BadTarget,
    ChannelConfig,
    ChannelType,
    Message,
    Outcome,
    ParsedTarget,
    Secrets,
    Transport,
)
from app.ports.http import Request

MAX_URL = 1000
NOT_ACCEPTED = (
    "its address is not in a form that this service accepts. Remove the channel and add it again "
    "with an address in one of the accepted forms"
)

_MICROSOFT = r"(?:[a-z0-9-]+\.){1,6}(?:logic\.azure\.com|environment\.api\.powerplatform\.com)"
_WORKFLOW = r"(?P<workflow>[A-Za-z0-9_-]+)"
_SIGNATURE = r"(?P<signature>[A-Za-z0-9_-]+)"
_TOKEN = r"(?P<token>[A-Za-z0-9_-]+)"


@dataclass(frozen=True, slots=True)
class ChatService:
    """One service.

    name      the name of the service
    form      the format of its addresses, for people
    patterns  each matches a whole address; its named groups are the parts
    hosts     matches every host that requests may go to
    build     builds the request for a message
    """

    name: str
    form: str
    patterns: Sequence[re.Pattern[str]]
    hosts: re.Pattern[str]
    build: Build


@dataclass(frozen=True, slots=True)
class ChatTarget:
    """The service and the parts of an address."""

    service: ChatService
    parts: Parts


def _service(name: str, form: str, host: str, build: Build, *patterns: str) -> ChatService:
    compiled = tuple(re.compile(pattern, re.ASCII) for pattern in patterns)
    return ChatService(name=name, form=form, patterns=compiled, hosts=re.compile(host), build=build)


def _pagerduty(schema: str, region: str, host: str) -> ChatService:
    return _service(
        f"PagerDuty{region}",
        f"{schema}://INTEGRATION_KEY",
        re.escape(host),
        chat_services.pagerduty(host),
        # Earlier versions required a second key, which the service does not need.
        rf"{schema}://(?P<key>[A-Za-z0-9]{{32}})(?:@[A-Za-z0-9_+-]{{1,64}})?",
    )


def _opsgenie(schema: str, region: str, host: str) -> ChatService:
    return _service(
        f"Opsgenie{region}",
        f"{schema}://API_KEY",
        re.escape(host),
        chat_services.opsgenie(host),
        rf"{schema}://(?P<key>[0-9A-Fa-f-]{{32,36}})",
    )


_SPLUNK = _service(
    "Splunk On-Call",
    "https://alert.victorops.com/integrations/generic/20131114/alert/API_KEY/ROUTING_KEY",
    r"alert\.victorops\.com",
    chat_services.splunk,
    r"(?:splunk|victorops)://(?P<route>[A-Za-z0-9_-]+)@(?P<key>[A-Za-z0-9_-]+)",
    r"https://alert\.victorops\.com/integrations/generic/20131114/alert"
    r"/(?P<key>[A-Za-z0-9_-]+)/(?P<route>[A-Za-z0-9_-]+)",
)
_SERVICES = (
    _service(
        "Discord",
        "https://discord.com/api/webhooks/ID/TOKEN",
        r"discord\.com",
        chat_services.discord,
        rf"discord://(?P<id>[0-9]{{15,25}})/{_TOKEN}",
        rf"https://(?:discord|discordapp)\.com/api/webhooks/(?P<id>[0-9]{{15,25}})/{_TOKEN}",
    ),
    _service(
        "Google Chat",
        "https://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN",
        r"chat\.googleapis\.com",
        chat_services.google_chat,
        rf"gchat://(?P<space>[A-Za-z0-9_-]+)/(?P<key>[A-Za-z0-9_-]+)/{_TOKEN}",
        r"https://chat\.googleapis\.com/v1/spaces/(?P<space>[A-Za-z0-9_-]+)/messages"
        r"\?key=(?P<key>[A-Za-z0-9_-]+)&token=(?P<token>[A-Za-z0-9_-]+(?:=|%3D){0,2})",
    ),
    _service(
        "LINE",
        "line://CHANNEL_ACCESS_TOKEN/USER_GROUP_OR_ROOM_ID",
        r"api\.line\.me",
        chat_services.line,
        r"line://(?P<token>[A-Za-z0-9+/]{20,400}={0,2})/(?P<to>[CRU][0-9a-f]{32})",
    ),
    _opsgenie("opsgenie", "", "api.opsgenie.com"),
    _opsgenie("opsgenie-eu", " (EU)", "api.eu.opsgenie.com"),
    _pagerduty("pagerduty", "", "events.pagerduty.com"),
    _pagerduty("pagerduty-eu", " (EU)", "events.eu.pagerduty.com"),
    _service(
        "PagerTree",
        "https://api.pagertree.com/integration/INTEGRATION_ID",
        r"api\.pagertree\.com",
        chat_services.pagertree,
        r"pagertree://(?P<key>[A-Za-z0-9_-]{1,64})",
        r"https://api\.pagertree\.com/integration/(?P<key>[A-Za-z0-9_-]{1,64})",
    ),
    _service(
        "Pushover",
        "pover://USER_KEY@APPLICATION_TOKEN",
        r"api\.pushover\.net",
        chat_services.pushover,
        r"pover://(?P<user>[A-Za-z0-9]{30})@(?P<token>[A-Za-z0-9]{30})",
    ),
    _service(
        "SIGNL4",
        "https://connect.signl4.com/webhook/SECRET",
        r"connect\.signl4\.com",
        chat_services.signl4,
        r"signl4://(?P<key>[A-Za-z0-9_-]{4,64})",
        r"https://connect\.signl4\.com/webhook/(?P<key>[A-Za-z0-9_-]{4,64})",
    ),
    _service(
        "Slack",
        "https://hooks.slack.com/services/T…/B…/TOKEN",
        r"hooks\.slack\.com",
        chat_services.slack,
        r"slack://(?P<team>[A-Z0-9]+)/(?P<hook>[A-Z0-9]+)/(?P<token>[A-Za-z0-9]{8,64})",
        r"https://hooks\.slack\.com/services"
        r"/(?P<team>[A-Z0-9]+)/(?P<hook>[A-Z0-9]+)/(?P<token>[A-Za-z0-9]{8,64})",
    ),
    _SPLUNK,
    _service(
        "Telegram",
        "tgram://BOT_TOKEN/CHAT_ID or tgram://BOT_TOKEN/CHAT_ID:TOPIC_ID",
        r"api\.telegram\.org",
        chat_services.telegram,
        r"tgram://(?:bot)?(?P<token>[0-9]{5,20}:[A-Za-z0-9_-]{30,60})"
        r"/(?P<chat>-?[0-9]{1,32}|@[A-Za-z][A-Za-z0-9_]{3,31})(?::(?P<topic>[0-9]{1,10}))?",
    ),
    _service(
        "Twilio",
        "twilio://ACCOUNT_SID:AUTH_TOKEN@FROM_NUMBER/TO_NUMBER",
        r"api\.twilio\.com",
        chat_services.twilio,
        r"twilio://(?P<account>AC[0-9a-f]{32}):(?P<token>[A-Za-z0-9]{16,64})"
        r"@(?P<sender>\+?[0-9]{5,15})/(?P<to>\+?[0-9]{5,15})",
    ),
    _service(
        "Microsoft Teams",
        "https://….environment.api.powerplatform.com/powerautomate/… or "
        "https://….logic.azure.com/workflows/…",
        _MICROSOFT,
        chat_services.teams,
        rf"workflows?://(?P<host>{_MICROSOFT})(?::443)?/{_WORKFLOW}/{_SIGNATURE}",
        rf"https://(?P<host>{_MICROSOFT})(?::443)?"
        rf"(?P<prefix>/powerautomate/automations/direct(?:/cu/[0-9]{{1,10}})?)?/workflows/{_WORKFLOW}"
        r"/triggers/manual/paths/invoke/?\?api-version=(?P<version>[0-9]{1,4}(?:-[0-9]{2}){0,2}"
        rf"(?:-preview)?)&sp=%2Ftriggers%2Fmanual%2Frun&sv=1\.0&sig={_SIGNATURE}",
    ),
    _service(
        "Webex",
        "https://webexapis.com/v1/webhooks/incoming/TOKEN",
        r"webexapis\.com",
        chat_services.webex,
        r"(?:wxteams|webex)://(?P<token>[A-Za-z0-9_-]{40,200})",
        r"https://webexapis\.com/v1/webhooks/incoming/(?P<token>[A-Za-z0-9_-]{40,200})",
    ),
)
_WITH_INCIDENTS = frozenset(
    (
        *("Opsgenie", "Opsgenie (EU)", "PagerDuty", "PagerDuty (EU)", "PagerTree", "SIGNL4"),
        "Splunk On-Call",
    )
)
SERVICES: Mapping[str, ChatService] = {service.name: service for service in _SERVICES}


def parse(url: str) -> ChatTarget:
    """Return the service of an address, and its parts.

    raises  BadTarget if it is not an address of one of ``SERVICES``; the message does not repeat it
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable():
        raise BadTarget(f"Enter up to {MAX_URL} ASCII characters.")
    for service in SERVICES.values():
        for pattern in service.patterns:
            if match := pattern.fullmatch(url.removesuffix("/")):
                parts = {name: value for name, value in match.groupdict().items() if value}
                return ChatTarget(service, parts)
    raise BadTarget(
        "This is not the address of a supported service. Supported are "
        f"{', '.join(SERVICES)}. Options after ? or # are not accepted."
    )


class Chat(ChannelType):
    """A message to a chat or paging service."""

    name = "chat"
    label = "Chat or pager"
    description = "Send to a chat or paging service. docs/alerts.md lists the address formats."
    target_hint = "the webhook URL of the service, which is stored encrypted"
    target_field = "url"
    is_target_secret = True
    target_formats = tuple((service.name, service.form) for service in SERVICES.values())

    def parse(self, target: str, config: ChannelConfig) -> ParsedTarget:
        return ParsedTarget(parse(target).service.name, Secrets(url=target))

    def groups_by_cause(self, target: str) -> bool:
        """Return False for services with incidents: each alert opens and resolves its own."""
        return target not in _WITH_INCIDENTS

    def stored_error(self, secrets: Secrets) -> str | None:
        try:
            parse(secrets.url or "")
        except BadTarget:
            return NOT_ACCEPTED
        return None

    async def send(self, message: Message, transport: Transport, config: ChannelConfig) -> Outcome:
        try:
            target = parse(message.secrets.url or "")
        except BadTarget:
            return Outcome(error=NOT_ACCEPTED, disable_reason=NOT_ACCEPTED)
        chat_request = target.service.build(target.parts, chat_message(message.events))
        if target.service.hosts.fullmatch(chat_request.host) is None:
            raise ValueError("a request to a host that is not the service's")
        request = Request("POST", chat_request.headers, chat_request.body)
        return await post.send(
            transport.http,
            chat_request.host,
            chat_request.path,
            request,
            seconds=config.timeout_seconds,
        )


def chat_message(events: Sequence[Event]) -> ChatMessage:
    """Return the content of the message about the events of one cause, the worst first."""
    event = events[0]
    alert = text.alert_of(event)
    return ChatMessage(
        heading=text.group_heading(events),
        body=text.body(event) + text.related_text(events),
        url=text.runbook(event),
        severity=str(alert.get("severity", "info")),
        is_resolved=event["type"] == "alert.resolved",
        dedup_key=alert.get("dedupKey"),
    )
