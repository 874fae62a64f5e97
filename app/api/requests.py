"""What is done around every request: its id, its line in the log, and how its use is counted."""

import logging
import random
import re
import time

from flask import Flask, Response, g, request

from app.api import auth
from app.services import audit, usage

logger = logging.getLogger("access")

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_app(app: Flask) -> None:
    """Must come first: what follows wants the id."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-Id")
    id = given if given and _ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
    g.request_id, g.started = id, time.monotonic()
    audit.origin.set(audit.Origin(request.remote_addr, id))


def _end(response: Response) -> Response:
    headers = response.headers
    headers.add("X-Request-Id", g.get("request_id", ""))
    headers.setdefault("Cache-Control", "no-store")
    headers.add("X-Content-Type-Options", "nosniff")
    caller = auth.caller_or_none()
    rule = request.url_rule
    route = f"{request.method[:10]} {rule.rule if rule else 'unmatched'}"
    if caller is not None:
        usage.note(caller.id, route, response.status_code, request.remote_addr or "")
    if logger.isEnabledFor(logging.INFO):
        took = time.monotonic() - g.get("started", time.monotonic())
        named = {
            "request_id": g.get("request_id"),
            "key_id": caller.key_id if caller else None,
            "route": route,
            "status": response.status_code,
            "ms": round(took * 1000, 1),
        }
        logger.info("request", extra=named)
    return response
