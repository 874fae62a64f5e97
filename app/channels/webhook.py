"""Webhooks: signed POST requests as specified by Standard Webhooks 1.0.

Every attempt is signed with its own timestamp; id and body stay the same.
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random_secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

import orjson

from app.channels import post
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
from app.protocols import names

PREFIX = "whsec_"
MAX_URL = 1000
_SECRET_BYTES = 32


class Webhook(ChannelType):
    """Signed POST requests to an HTTPS URL."""

    name = "webhook"
    label = "Webhook"
    description = "Send signed events to an HTTPS URL. The secret is shown only once."
    target_hint = "a URL that starts with https://"
    target_field = "url"
    has_signing_secret = True
    receives_all_events = True
    batch_size = 20

    def parse(self, target: str, config: ChannelConfig) -> ParsedTarget:
        url = parse_url(target, config.webhook_ports)
        return ParsedTarget(target, Secrets((new_secret(),)), host=url.host)

    def rotated(self, secrets: Secrets, until: datetime) -> Secrets:
        return Secrets((new_secret(), secrets.keys[0]), until.isoformat())

    async def send(self, message: Message, transport: Transport, config: ChannelConfig) -> Outcome:
        try:
            url = parse_url(message.target, config.webhook_ports)
        except BadTarget as error:
            return Outcome(error=f"the URL is no longer allowed ({error})")
        (event,) = message.events
        body, timestamp = orjson.dumps(event), int(message.at.timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event["id"],
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(
                message.secrets.keys_at(message.at), event["id"], timestamp, body
            ),
        }
        request = Request(method="POST", headers=headers, body=body, port=url.port)
        return await post.send(
            transport.http, url.host, url.path, request, seconds=config.timeout_seconds
        )


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """The parts of the URL of a webhook."""

    host: str
    port: int
    path: str


def parse_url(url: str, ports: Sequence[int]) -> WebhookUrl:
    """Return the parts of an https URL to a host with a public name.

    ports   the allowed ports
    raises  BadTarget
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or set(url) & {" ", "\\"}:
        raise BadTarget(f"enter up to {MAX_URL} ASCII characters, without spaces or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise BadTarget("not a URL") from None
    if parts.scheme != "https":
        raise BadTarget("the URL must begin with https://")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise BadTarget("the URL must not contain a user, password or fragment")
    host = _host(parts)
    if port not in ports:
        raise BadTarget(f"the port must be one of {', '.join(map(str, ports))}")
    query = f"?{parts.query}" if parts.query else ""
    return WebhookUrl(host, port, (parts.path or "/") + query)


def new_secret() -> str:
    """Return a new signing secret, in the format that libraries of receivers accept."""
    return PREFIX + base64.b64encode(random_secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(keys: Sequence[str], id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: one signature for each valid secret.

    raises  ValueError for an invalid secret
    """
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signature(key, signed)}" for key in keys)


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    try:
        is_name = names.parse_host(host) == host and "." in host
    except names.NotADomain as error:
        raise BadTarget(f"the host is invalid: {error.reason}") from None
    if not is_name:
        raise BadTarget("the host must be a fully qualified domain name in A-labels")
    return host


def _signature(key: str, signed: bytes) -> str:
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not a webhook secret") from None
    return base64.b64encode(hmac.digest(raw, signed, hashlib.sha256)).decode()
