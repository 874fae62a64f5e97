"""The HTTPS requests of sinks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from app.channels import post, webhook
from app.channels.types import BadTarget
from app.channels.webhook import WebhookUrl
from app.ports.dns import LookupFailed
from app.ports.http import HttpClient, Page, Request
from app.sinks.types import BadOption, Outcome, SinkConfig, Target

MAX_RESPONSE_BYTES = 1024 * 1024
MAX_REASON = 200  # characters of a response in an error
_PORTS = range(1, 65_536)
_REFUSED = (400, 413, 415, 422)  # the content is refused; other statuses may change


@dataclass(frozen=True, slots=True)
class Post:
    """A POST request to the URL of a sink.

    suffix  is appended to the path of the URL
    """

    headers: Mapping[str, str]
    body: bytes
    suffix: str = ""


def parse_url(options: Mapping[str, str]) -> WebhookUrl:
    """Return the parts of the option ``url``; any port is accepted.

    raises  BadOption
    """
    try:
        return webhook.parse_url(options["url"], _PORTS)
    except BadTarget as error:
        raise BadOption("url", str(error)) from None


async def send(
    post_: Post, target: Target, http: HttpClient, config: SinkConfig
) -> tuple[Page | None, Outcome]:
    """Send the request; returns the response, if there is one, and the outcome by its status."""
    url = parse_url(target.options)
    request = Request(
        method="POST",
        headers=post_.headers,
        body=post_.body,
        port=url.port,
        ca_certificates=target.ca_certificates,
        max_response_bytes=MAX_RESPONSE_BYTES,
    )
    try:
        async with asyncio.timeout(config.timeout_seconds):
            page = await http.fetch(url.host, url.path + post_.suffix, request)
    except TimeoutError:
        return None, Outcome(post.REASONS["timeout"])
    except LookupFailed as error:
        reason = post.REASONS.get(error.reason, "the DNS lookup of the endpoint failed")
        return None, Outcome(reason)
    if page.failure:
        detail = f": {page.detail}" if page.failure == "tls" and page.detail else ""
        return None, Outcome(post.FAILURES[page.failure] + detail)
    if 200 <= page.status < 300:
        return page, Outcome()
    return page, Outcome(
        f"the endpoint returned {page.status}{_reason(page)}",
        is_refused=page.status in _REFUSED,
        retry_after=page.retry_after,
    )


def parse_json(page: Page) -> dict[str, object]:
    """Return the JSON object in the response; an empty one if there is none."""
    try:
        body = orjson.loads(page.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _reason(page: Page) -> str:
    """The text of an error response, as far as it is short and printable."""
    text = page.body.decode("utf-8", "replace").strip()
    text = " ".join(text.split())
    return f": {text[:MAX_REASON]}" if text and text.isprintable() else ""
