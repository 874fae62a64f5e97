"""The POST request of webhooks and chat services."""

import asyncio

from app.channels.types import Outcome
from app.ports.dns import LookupFailed
from app.ports.http import HttpClient, Page, Request

FAILURES = {
    "tls": "its certificate is not trusted",
    "redirect": "it redirects, and redirects are not followed",
    "refused_address": "its address is not public",
    "no_address": "its host has no address",
    "too_large": "its answer has too large a head",
}
_REASONS = {
    "timeout": "it did not answer in time",
    "network": "the connection failed",
    "garbage": "its response is not HTTP",
}
GONE = "it answered 410: it wants no more"


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
        return Outcome(error=_REASONS["timeout"])
    except LookupFailed as error:
        return Outcome(error=_REASONS.get(error.reason, "its name cannot be looked up"))
    return _outcome(page)


def _outcome(page: Page) -> Outcome:
    status = page.status or None
    if page.failure:
        return Outcome(status, FAILURES[page.failure])
    if 200 <= page.status < 300:
        return Outcome(status)
    return Outcome(
        status,
        f"it answered {page.status}",
        page.retry_after,
        disable_reason=GONE if page.status == 410 else None,
    )
