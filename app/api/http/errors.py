"""Error responses: the one place that turns an exception into the error envelope."""

import logging
import re
from typing import Any

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app import settings
from app.errors import NOT_FOUND, ApplicationError, ServiceUnavailable

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Register the handlers for every error of every route."""
    app.register_error_handler(ApplicationError, _application_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unhandled)


def envelope(code: str, message: str, status: int, **extra: Any) -> Response:
    """Return ``{"error": {code, message, status, …, requestId}}``."""
    error = {"code": code, "message": message, "status": status, **extra}
    error["requestId"] = g.get("request_id")
    return Response(orjson.dumps({"error": error}), status, content_type="application/json")


def _application_error(error: ApplicationError) -> Response:
    message = _unknown_path() if error.message == NOT_FOUND else error.message
    response = envelope(error.code, message, error.status, **error.extra)
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
    message = _message(error)
    if status == 400:
        details = [{"field": "request", "code": "malformed", "message": message}]
        return envelope("invalid_request", message, 400, details=details)
    response = envelope(code, message, status)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _message(error: HTTPException) -> str:
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}))
        return f"Method {request.method} is not allowed here. Allowed: {methods}"
    if error.code == 413:
        return f"The body has more than {_max_body_bytes()} bytes"
    return _unknown_path() if error.code == 404 else error.description or error.name


def _unknown_path() -> str:
    return f"Path {request.path[:253]!r} was not found."


def _max_body_bytes() -> int:
    current = settings.current()
    is_file = request.blueprint == "ingest"
    return current.ingest_max_bytes if is_file else current.max_content_length


def _unhandled(error: Exception) -> Response:
    logger.error("unhandled exception in request", exc_info=error)
    return envelope("internal_error", "Internal error. It was logged; try again later", 500)
