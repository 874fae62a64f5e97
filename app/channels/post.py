"""The POST request of webhooks and chat services."""

import asyncio

from app.channels.types import Outcome
from app.ports.dns import LookupFailed
from app.ports.http import HttpClient, Page, Request

FAILURES = {
    "tls": "the certificate of the endpoint is not trusted",
    "redirect": "the endpoint redirects, and redirects are not followed",
    "refused_address": "the address of the endpoint is not public",
    "no_address": "the host of the endpoint has no address",
    "too_large": "the response header of the endpoint is too large",
}
REASONS = {
    "timeout": "the endpoint did not respond in time",
    "network": "the connection failed",
    "garbage": "the response is not HTTP",
}
GONE = "the endpoint returned 410 Gone"


async def send(
    http: HttpClient, host: str, path: str, request: Request, *, seconds: float
) -> Outcome:
    """Send the request, and return the outcome by the status; redirects are not followed.

    seconds  timeout of the whole attempt, including the DNS lookup of the host
    """
    try:
        async with asyncio.timeout(seconds):
            page = await http.fetch(host, path, request)
    except TimeoutError:
        return Outcome(error=REASONS["timeout"])
    except LookupFailed as error:
        return Outcome(error=REASONS.get(error.reason, "the DNS lookup of the endpoint failed"))
    return _outcome(page)


def _outcome(page: Page) -> Outcome:
    status = page.status or None
    if page.failure:
        return Outcome(status, FAILURES[page.failure])
    if 200 <= page.status < 300:
        return Outcome(status)
    return Outcome(
        status,
        f"the endpoint returned {page.status}",
        page.retry_after,
        disable_reason=GONE if page.status == 410 else None,
    )
