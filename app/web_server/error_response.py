"""The responses to requests that the web server rejects itself, in the error format of the API."""

import json
import re
import uuid
from collections.abc import Sequence

from gunicorn.http import errors

from app.web_server.limits import BufferFull

MAX_MESSAGE_LENGTH = 300

_STATUSES: tuple[tuple[type[Exception], int, str], ...] = (
    # The application has set an invalid response header; these are subclasses of request errors.
    (errors.InvalidResponseHeader, 500, "Internal Server Error"),
    (errors.InvalidResponseHeaderName, 500, "Internal Server Error"),
    (errors.ConfigurationProblem, 500, "Internal Server Error"),
    (errors.UnsupportedTransferCoding, 501, "Not Implemented"),
    (errors.LimitRequestLine, 414, "URI Too Long"),
    (errors.LimitRequestHeaders, 431, "Request Header Fields Too Large"),
    (errors.ExpectationFailed, 417, "Expectation Failed"),
    (errors.ForbiddenProxyRequest, 403, "Forbidden"),
    (errors.ParseException, 400, "Bad Request"),
    (BufferFull, 503, "Service Unavailable"),
)


def status_of(error: Exception) -> tuple[int, str]:
    """Return the status and its reason phrase for an error of the parser or the application."""
    for kind, status, reason in _STATUSES:
        if isinstance(error, kind):
            return status, reason
    return 500, "Internal Server Error"


Headers = Sequence[tuple[str, str]]


def build(status: int, reason: str, message: str, headers: Headers = ()) -> bytes:
    """Return a complete response that closes the connection; an empty message is the reason."""
    code = "invalid_request" if status == 400 else re.sub(r"[^a-z]+", "_", reason.lower())
    request_id = uuid.uuid4().hex
    error = {
        "code": code,
        "message": message[:MAX_MESSAGE_LENGTH] or reason,
        "status": status,
        "requestId": request_id,
    }
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{head}{lines}\r\n".encode("latin1") + body
