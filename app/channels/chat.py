"""Chat and paging services, through Apprise: only those that live at a fixed public address.

Apprise opens its own connections, so it may be given no host that an account can choose; what goes
to other places takes a webhook, through the one door that looks where it leads.
"""

import logging
import re
from urllib.parse import parse_qsl, urlsplit

from app.channels import words
from app.channels.contract import BadTarget, Outcome
from app.channels.words import Event

MAX_URL = 1000
# Schemas of Apprise whose plugins have their host in their code.
SERVICES = {
    "discord": "Discord",
    "gchat": "Google Chat",
    "line": "LINE",
    "opsgenie": "Opsgenie",
    "pagerduty": "PagerDuty",
    "pagertree": "PagerTree",
    "pover": "Pushover",
    "signl4": "SIGNL4",
    "slack": "Slack",
    "splunk": "Splunk On-Call",
    "tgram": "Telegram",
    "twilio": "Twilio",
    "victorops": "Splunk On-Call",
    "workflows": "Microsoft Teams",
    "wxteams": "Webex",
}
# A Teams workflow names its host; these are Microsoft's alone.
_WORKFLOW_HOSTS = re.compile(
    r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(logic\.azure\.com|powerplatform\.com)", re.IGNORECASE
)
_OPTIONS = frozenset(("region", "priority", "topic", "thread", "footer", "image", "format", "ver"))


def service(url: str) -> str:
    """The name of the service that the URL is for.

    raises  BadTarget
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadTarget(f"up to {MAX_URL} plain ASCII characters without a blank")
    schema = url.partition("://")[0].lower()
    if schema not in SERVICES:
        raise BadTarget(f"it must begin with one of {', '.join(SERVICES)}, and ://")
    parts = urlsplit(url)
    if unknown := {name for name, _ in parse_qsl(parts.query)} - _OPTIONS:
        raise BadTarget(f"an option that is not taken here: {', '.join(sorted(unknown))}")
    if schema == "workflows" and not _is_microsoft(url):
        raise BadTarget("a workflow's host must be one of Microsoft's")
    if _plugin(url) is None:
        raise BadTarget(f"it is no complete address of {SERVICES[schema]}")
    return SERVICES[schema]


def send(url: str, event: Event, *, seconds: float) -> Outcome:
    """Tell the service; where it pages, what is resolved ends what was opened.

    seconds  for connecting, and for the answer
    """
    plugin = _plugin(url)
    if plugin is None:
        return Outcome(error="its address is not taken any more")
    plugin.socket_connect_timeout = plugin.socket_read_timeout = seconds / 2
    _group(plugin, words.alert_of(event).get("dedupKey"))
    is_told = plugin.notify(
        title=words.heading(event), body=words.text(event), notify_type=_tone(event),
        body_format="text",
    )  # fmt: skip
    return Outcome() if is_told else Outcome(error="the service did not take it")


def _plugin(url: str):  # type: ignore[no-untyped-def]  # Apprise's own, which has no types
    import apprise  # here: it costs 0.2 s, and most processes never tell a chat

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages show whole URLs
    asset = apprise.AppriseAsset(app_id="mailwatch", http_redirects=False, secure_logging=True)
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def _group(plugin: object, key: str | None) -> None:
    """One incident for each alert, where the service has incidents."""
    if key is None:
        return
    for name, value in (("dedup", key), ("alias", key), ("entity_id", key)):
        if hasattr(plugin, name):
            setattr(plugin, name, value)
    if hasattr(plugin, "dedup"):
        plugin.action = "map"  # type: ignore[attr-defined]  # PagerDuty's


def _tone(event: Event) -> str:
    if event["type"] == "alert.resolved":
        return "success"
    severity = words.alert_of(event).get("severity")
    return {"critical": "failure", "high": "failure", "medium": "warning"}.get(
        str(severity), "info"
    )


def _is_microsoft(url: str) -> bool:
    parts = urlsplit(url)
    try:
        is_usual = parts.port in (None, 443)
    except ValueError:
        return False
    is_named = _WORKFLOW_HOSTS.fullmatch(parts.hostname or "") is not None
    return is_usual and is_named and parts.username is None
