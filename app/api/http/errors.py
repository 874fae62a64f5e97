"""The one place that turns what went wrong into an answer: always the same envelope."""

import logging
import re
from typing import Any

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from app import settings
from app.errors import ApplicationError, ServiceUnavailable

logger = logging.getLogger(__name__)

_MESSAGES = {
    404: "Not found",
    405: "This route has no such method",
    413: "The body has more than {limit} bytes",
}


def init_app(app: Flask) -> None:
    """Every error of every route ends here."""
    app.register_error_handler(ApplicationError, _application_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unhandled)


def envelope(code: str, message: str, status: int, **extra: Any) -> Response:
    """``{"error": {code, message, status, …, requestId}}``."""
    error = {"code": code, "message": message, "status": status, **extra}
    error["requestId"] = g.get("request_id")
    return Response(orjson.dumps({"error": error}), status, content_type="application/json")


def _application_error(error: ApplicationError) -> Response:
    response = envelope(error.code, error.message, error.status, **error.extra)
    if error.status == 429:
        g.retry_after = error.extra["retryAfter"]
    if isinstance(error, ServiceUnavailable):
        response.headers["Retry-After"] = "5"
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status == 413:
        code = "payload_too_large"
    else:
        code = re.sub(r"[^a-z]+", "_", error.name.lower()).strip("_")
    message = _MESSAGES.get(status, error.description or error.name)
    message = message.replace("{limit}", str(_truncated()))
    if status == 400:
        details = [{"field": "request", "code": "malformed", "message": message}]
        return envelope("invalid_request", message, 400, details=details)
    response = envelope(code, message, status)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _truncated() -> int:
    chosen = settings.current()
    is_file = request.blueprint == "ingest"
    return chosen.ingest_max_bytes if is_file else chosen.max_content_length


def _unhandled(error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return envelope("internal_error", "Something went wrong on our side", 500)
