"""The rate limits of an API request, and their headers.

A key is counted over all routes, and all keys of an account together. A request without a valid
key is counted by the client's network.
"""

from functools import lru_cache

from flask import Flask, Response, g, request

from app import settings
from app.api.http import auth, ingest_auth
from app.limits import rate_limiter
from app.limits.concurrency import Slots
from app.limits.rate_limiter import RateLimitExceeded
from app.protocols.client_networks import client_network
from app.services.api_keys.callers import Caller
from app.settings import Settings

# Public pages and files are never refused, and the dashboard counts its requests itself.
_EXEMPT = ("health", "docs", "static", "web")


def init_app(app: Flask, chosen: Settings) -> None:
    """Count each request, and add the headers; must be registered after ``auth.init_app``."""
    rate_limiter.init_app(app, chosen.redis_client_url)
    app.extensions["slots"] = Slots(chosen.redis_client_url)
    app.before_request(_count)
    app.after_request(_add_headers)


def limit_of(caller: Caller) -> str:
    """Return the limit of the caller's key, at most that of the account."""
    limit = caller.rate_limit or settings.current().rate_limit
    return _capped(limit, ceiling_of(caller))


def ceiling_of(caller: Caller) -> str:
    """Return the limit of all keys of the caller's account together."""
    return caller.account_rate_limit or settings.current().account_rate_limit


def _count() -> None:
    if (request.blueprint or request.endpoint or "").partition(".")[0] in _EXEMPT:
        return
    try:
        if (uploader := ingest_auth.uploader_or_none()) is not None:
            limit = settings.current().ingest_rate_limit
            g.rate_limit_status = rate_limiter.count(f"upload:{uploader.token_id}", limit)
        elif (
            sender := ingest_auth.sender_or_none()
        ) is not None and not ingest_auth.has_bad_token():
            _count_sender(f"ingest:{sender.token_id}")
        elif (caller := auth.caller_or_none() or auth.last_known_caller()) is not None:
            _count_caller(caller)
        else:
            _count_unknown()
    except RateLimitExceeded as error:
        g.rate_limit_status = error.limit
        raise


def _count_unknown() -> None:
    """Count a request without a valid key; a key that cannot be resolved may be valid."""
    network = client_network(request.remote_addr or "unknown")
    limit = settings.current().unauthenticated_rate_limit
    if auth.is_unresolved():
        rate_limiter.count_and_show(f"unresolved:{network}", limit, is_refused=False)
    else:
        g.rate_limit_status = rate_limiter.count(f"address:{network}", limit)


def _count_sender(address: str) -> None:
    """Count a request to a public report address; known sources have their own limit."""
    current = settings.current()
    if ingest_auth.is_known_source():
        known_sources = f"{address}:known"
        g.rate_limit_status = rate_limiter.count(known_sources, current.ingest_rate_limit)
        return
    source = f"{address}:{client_network(request.remote_addr or 'unknown')}"
    g.rate_limit_status = rate_limiter.count(source, current.ingest_source_rate_limit)
    rate_limiter.count(address, current.ingest_rate_limit)


def _count_caller(caller: Caller) -> None:
    limit, ceiling = limit_of(caller), ceiling_of(caller)
    account = f"account:{caller.account_id}"
    rate_limiter.count_next(limit, account, ceiling)
    g.rate_limit_status = rate_limiter.count(f"key:{caller.key_id}", limit)
    rate_limiter.count(account, ceiling, "account")


def _add_headers(response: Response) -> Response:
    if "rate_limit_status" not in g:  # nothing limits this request: count it for the headers
        network = client_network(request.remote_addr or "unknown")
        limit = settings.current().unauthenticated_rate_limit
        rate_limiter.count_and_show(f"public:{network}", limit, is_refused=False)
    rate_limiter.add_headers(response, g.rate_limit_status)
    return response


@lru_cache(maxsize=1024)
def _capped(limit: str, ceiling: str) -> str:
    is_above = rate_limiter.rate_of(limit) > rate_limiter.rate_of(ceiling)
    return ceiling if is_above else limit
