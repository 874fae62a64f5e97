"""Sinks that are HTTPS servers: their URL, and the requests to it."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from app.channels import post, webhook
from app.channels.types import BadTarget
from app.channels.webhook import WebhookUrl
from app.options import fields
from app.options.fields import OptionError
from app.ports.dns import LookupFailed
from app.ports.http import HttpClient, Page, Request
from app.sinks.types import Deployment, Outcome, SinkConfig

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSinkConfig(SinkConfig):
    """The options of a sink that is an HTTPS server."""

    url: str = fields.text("URL", most=1_000, is_bound=True)

    @property
    def destination(self) -> str:
        return self.parsed_url.host

    @property
    def parsed_url(self) -> WebhookUrl:
        """The parts of the URL, which has any port; raises BadTarget."""
        return webhook.parse_url(self.url, _PORTS)

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the URL and the certificates."""
        try:
            problem = self.url_problem(self.parsed_url)
        except BadTarget as error:
            problem = str(error)
        if problem is not None:
            yield OptionError("url", problem)
        yield from super(HttpSinkConfig, self).problems()

    def url_problem(self, url: WebhookUrl) -> str | None:
        """Return what is wrong with a valid URL of this type; None if nothing is."""
        return None

    async def post(
        self, post_: Post, http: HttpClient, deployment: Deployment
    ) -> tuple[Page | None, Outcome]:
        """Send the request, and return the response, if there is one, and the outcome."""
        url = self.parsed_url
        request = Request(
            method="POST",
            headers=post_.headers,
            body=post_.body,
            port=url.port,
            ca_certificates=self.trusted,
            max_response_bytes=MAX_RESPONSE_BYTES,
        )
        try:
            async with asyncio.timeout(deployment.timeout_seconds):
                page = await http.fetch(url.host, url.path + post_.suffix, request)
        except TimeoutError:
            return None, Outcome(post.REASONS["timeout"])
        except LookupFailed as error:
            reason = post.REASONS.get(error.reason, "the DNS lookup of the endpoint failed")
            return None, Outcome(reason)
        return page, _outcome(page)


def _outcome(page: Page) -> Outcome:
    if page.failure:
        detail = f": {page.detail}" if page.failure == "tls" and page.detail else ""
        return Outcome(post.FAILURES[page.failure] + detail)
    if 200 <= page.status < 300:
        return Outcome()
    return Outcome(
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
