"""Health checks: whether the process runs, and whether it is ready for requests."""

import orjson
from flask import Blueprint, Response

from app.api.http.endpoint import endpoint
from app.db import transactions
from app.errors import ServiceUnavailable
from app.jobs import queue

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@endpoint(is_public=True)
def live() -> Response:
    """Check that the process is running."""
    return Response(orjson.dumps({"status": "ok"}), content_type="application/json")


@bp.get("/readyz")
@endpoint(is_public=True)
def ready() -> Response:
    """Check that the service can handle requests."""
    try:
        has_database = transactions.is_ready()
    except ServiceUnavailable:
        has_database = False
    state = {
        "status": "ok" if has_database else "unavailable",
        "database": "ok" if has_database else "unavailable",
        **_processes(),
    }
    status = 200 if has_database else 503
    return Response(orjson.dumps(state), status, content_type="application/json")


def _processes() -> dict[str, object]:
    """Return the state of Redis, and of the processes that report to it each minute."""
    seen = queue.seen()
    if seen is None:
        unknown = dict.fromkeys(queue.QUEUES, "unknown")
        return {"redis": "degraded", "workers": unknown, "clock": "unknown"}
    states = {name: "ok" if is_seen else "missing" for name, is_seen in seen.items()}
    clock = states.pop(queue.CLOCK)
    return {"redis": "ok", "workers": states, "clock": clock}
