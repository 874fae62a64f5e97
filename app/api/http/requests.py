"""Hooks of every request: its id, its log line, its metrics, and the usage of its key."""

import functools
import logging
import random
import re
import time
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from app import settings
from app.api.http import auth, errors
from app.metrics import definitions
from app.metrics.definitions import HTTP_REQUESTS, HTTP_SECONDS, UNMATCHED
from app.services.api_keys import usage
from app.services.audit import audit_log

logger = logging.getLogger("access")

AREAS = {
    "v1": definitions.API,
    "mcp": definitions.API,
    "web": definitions.DASHBOARD,
    "ingest": definitions.INGEST,
}

# Health checks and metrics are requested by address, and their responses contain no host.
ANY_HOST = frozenset({"/healthz", "/readyz", "/metrics"})
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_app(app: Flask) -> None:
    """Register the hooks; must be called first, because other hooks use the id."""
    app.before_request(_begin)
    app.before_request(_check_host)
    app.after_request(_end)


def _begin() -> None:
    client_id = request.headers.get("X-Request-Id")
    id = client_id if client_id and _ID.fullmatch(client_id) else f"{random.getrandbits(128):032x}"
    g.request_id, g.started = id, time.monotonic()
    audit_log.origin.set(audit_log.Origin(request.remote_addr, id))


def _check_host() -> Response | None:
    """Refuse a request to an unknown host, so that no URL is built from a forged one."""
    if request.path in ANY_HOST or _is_allowed(request.host):
        return None
    message = "The host in this request is not served here. Use the address in BASE_URL."
    return errors.envelope("invalid_request", message, 400)


def _is_allowed(host: str) -> bool:
    return _hostname(host) in own_hosts() or "*" in settings.current().allowed_hosts


def own_hosts() -> frozenset[str | None]:
    """Return the names of this service: of BASE_URL, of ALLOWED_HOSTS, and of this machine."""
    current = settings.current()
    return _allowed(current.base_url, current.allowed_hosts)


@functools.cache
def _allowed(base_url: str, hosts: tuple[str, ...]) -> frozenset[str | None]:
    return frozenset({urlsplit(base_url).hostname, *LOOPBACK, *hosts})


@functools.lru_cache(maxsize=64)
def _hostname(host: str) -> str:
    """Return the name in a Host header without its port; "" for a malformed header."""
    return (urlsplit(f"//{host}").hostname or "") if _HOST.fullmatch(host) else ""


def _end(response: Response) -> Response:
    headers = response.headers
    headers.add("X-Request-Id", g.get("request_id", ""))
    headers.setdefault("Cache-Control", "no-store")
    headers.add("X-Content-Type-Options", "nosniff")
    caller = auth.caller_or_none()
    rule = request.url_rule
    seconds = time.monotonic() - g.get("started", time.monotonic())
    route = f"{request.method[:10]} {rule.rule if rule else UNMATCHED}"
    HTTP_REQUESTS.add(route if rule else UNMATCHED, str(response.status_code))
    HTTP_SECONDS.observe(seconds, _area(request.endpoint, request.query_string))
    if called := g.get("called"):  # the tool or method behind a route that has several
        route = f"{route} {called}"
    if caller is not None:
        usage.record(caller.id, route, response.status_code, request.remote_addr or "")
    if logger.isEnabledFor(logging.INFO):
        fields = {
            "request_id": g.get("request_id"),
            "key_id": caller.key_id if caller else None,
            "route": route,
            "status": response.status_code,
            "duration_ms": round(seconds * 1000, 1),
        }
        logger.info("request", extra=fields)
    return response


def _area(endpoint: str | None, query: bytes) -> str:
    """Return the part of the application, for durations that can be compared."""
    area = AREAS.get((endpoint or "").partition(".")[0], definitions.OTHER)
    if area == definitions.API and b"wait=" in query:  # it waits as long as the client asks for
        return definitions.API_WAIT
    return area
