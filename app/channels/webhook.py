"""Webhooks as Standard Webhooks 1.0 has them: signed, each try with a timestamp of its own."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.channels import post
from app.channels.types import BadTarget, Outcome
from app.ports.http import HttpClient, Request
from app.protocols import names

PREFIX = "whsec_"
MAX_URL = 1000
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook's URL leads."""

    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent; id and body are the same on every try."""

    id: str
    body: bytes


def parse(url: str, ports: Sequence[int]) -> Target:
    """The parts of an https URL to a host with a public name.

    ports   those that it may have
    raises  BadTarget
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or set(url) & {" ", "\\"}:
        raise BadTarget(f"up to {MAX_URL} plain ASCII characters, no blank and no backslash")
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise BadTarget("it is no URL") from None
    if parts.scheme != "https":
        raise BadTarget("it must begin with https://")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise BadTarget("no user, password or fragment")
    host = (parts.hostname or "").removesuffix(".")
    try:
        is_name = names.parse_host(host) == host and "." in host
    except names.NotADomain as error:
        raise BadTarget(f"its host cannot be used: {error.reason}") from None
    if not is_name:
        raise BadTarget("its host must be a full name, in A-labels")
    if port not in ports:
        raise BadTarget(f"its port must be one of {', '.join(map(str, ports))}")
    query = f"?{parts.query}" if parts.query else ""
    return Target(host, port, (parts.path or "/") + query)


async def check(http: HttpClient, target: Target) -> None:
    """Check that the host has addresses, and public ones only.

    raises  BadTarget; LookupFailed
    """
    if failure := await http.refusal(target.host):
        raise BadTarget(post.FAILURES[failure])


def new_secret() -> str:
    """A fresh secret, as receivers put it into their library."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(keys: Sequence[str], id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``: one signature for each secret that counts now.

    raises  ValueError for what is no secret
    """
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signature(key, signed)}" for key in keys)


async def send(
    http: HttpClient,
    target: Target,
    keys: Sequence[str],
    message: Message,
    *,
    timestamp: int,
    seconds: float,
) -> Outcome:
    """POST the message; what the receiver says beyond its status is not read.

    timestamp  Unix seconds, of this try
    seconds    for all of it, including the lookup of the name
    """
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, message.id, timestamp, message.body),
    }
    request = Request("POST", headers, message.body, target.port)
    return await post.send(http, target.host, target.path, request, seconds=seconds)


def _signature(key: str, signed: bytes) -> str:
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("no secret of a webhook") from None
    return base64.b64encode(hmac.digest(raw, signed, hashlib.sha256)).decode()
