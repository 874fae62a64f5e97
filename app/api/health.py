"""Health checks: whether the process runs, and whether it is ready for requests."""

from typing import Literal

import orjson
from flask import Blueprint, Response
from pydantic import Field

from app.api.http.endpoint import Schema, endpoint
from app.db import transactions
from app.errors import ServiceUnavailable
from app.jobs import queue

bp = Blueprint("health", __name__)

ProcessState = Literal["ok", "missing", "unknown"]


class Liveness(Schema):
    """That the process runs."""

    status: Literal["ok"] = Field(description="Always `ok`.")


class ServiceState(Schema):
    """Whether the service can handle requests, with the state of its parts."""

    status: Literal["ok", "unavailable"] = Field(description="`unavailable` without the database.")
    database: Literal["ok", "unavailable"] = Field(description="The state of the database.")
    redis: Literal["ok", "degraded"] = Field(description="The state of Redis.")
    workers: dict[str, ProcessState] = Field(description="The state of the worker of each queue.")
    clock: ProcessState = Field(description="The state of the clock process.")


@bp.get("/healthz")
@endpoint(is_public=True, returns=Liveness, is_plain=True)
def live() -> Response:
    """Check that the process is running."""
    return Response(orjson.dumps({"status": "ok"}), content_type="application/json")


@bp.get("/readyz")
@endpoint(is_public=True, returns=ServiceState, is_plain=True, also=(503,))
def ready() -> Response:
    """Check that the service can handle requests."""
    database = _database()
    is_ready = database == "ok"
    state = {
        "status": "ok" if is_ready else "unavailable",
        "database": database,
        **_processes(),
    }
    status = 200 if is_ready else 503
    return Response(orjson.dumps(state), status, content_type="application/json")


def _database() -> str:
    """Return ``ok``, ``unavailable``, or ``full`` if the last write found a full disk."""
    try:
        has_answered = transactions.is_ready()
    except ServiceUnavailable:
        return "unavailable"
    if transactions.is_full():
        return "full"
    return "ok" if has_answered else "unavailable"


def _processes() -> dict[str, object]:
    """Return the state of Redis, and of the processes that report to it each minute."""
    seen = queue.seen()
    if seen is None:
        unknown = dict.fromkeys(queue.QUEUES, "unknown")
        return {"redis": "degraded", "workers": unknown, "clock": "unknown"}
    states = {name: "ok" if is_seen else "missing" for name, is_seen in seen.items()}
    clock = states.pop(queue.CLOCK)
    return {"redis": "ok", "workers": states, "clock": clock}
