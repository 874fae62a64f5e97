"""What can go wrong.

MailwatchError
├── ConnectionFailed       the service could not be reached, or did not answer in time
├── InvalidSignature       a webhook is not from the service
└── ApiError               the service answered with an error
    ├── InvalidRequest     400, 406, 413, 415, 422
    ├── Unauthorized       401
    ├── Forbidden          403
    ├── NotFound           404
    ├── Conflict           409, 412
    ├── RateLimited        429
    └── ServiceFailed      500 and above
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from mailwatch.generated.models import FieldError, Problem


class MailwatchError(Exception):
    """The base class of all errors of the client."""


class ConnectionFailed(MailwatchError):
    """The service could not be reached, or did not answer in time."""


class InvalidSignature(MailwatchError):
    """A webhook is not from the service, or too old."""


@dataclass(eq=False, kw_only=True)
class ApiError(MailwatchError):
    """The service answered with an error. Distinguish errors by their class or by ``code``.

    code         the code of the error, which never changes its meaning
    message      for people; the text may change
    status       the HTTP status
    request_id   the id of the request, which the log of the service has
    fields       all errors of an invalid request
    existing_id  the id of the resource that exists already
    retry_after  the seconds after which the request may succeed
    """

    code: str
    message: str
    status: int
    request_id: str | None = None
    fields: Sequence[FieldError] = field(default=())
    existing_id: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.message


class InvalidRequest(ApiError):
    """The request is invalid."""


class Unauthorized(ApiError):
    """There is no valid API key."""


class Forbidden(ApiError):
    """The key lacks the required scope."""


class NotFound(ApiError):
    """The resource does not exist."""


class Conflict(ApiError):
    """The resource exists already, or has changed."""


class RateLimited(ApiError):
    """A limit of the key or of the account is reached."""


class ServiceFailed(ApiError):
    """The service failed, or is temporarily unavailable."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: RateLimited,
}


def connection_failed(failure: httpx.TransportError) -> ConnectionFailed:
    """Return the error for a failure of the connection."""
    reason = str(failure) or type(failure).__name__
    return ConnectionFailed(f"{failure.request.url.host} could not be reached: {reason}")


def from_response(response: httpx.Response, retry_after: float | None) -> ApiError:
    """Return the error that a response says."""
    problem = _problem(response)
    default = ServiceFailed if response.status_code >= 500 else InvalidRequest
    return _BY_STATUS.get(response.status_code, default)(
        code=problem["code"],
        message=problem["message"],
        status=response.status_code,
        request_id=problem["requestId"] or None,
        fields=tuple(problem.get("details", ())),
        existing_id=problem.get("existingId"),
        retry_after=retry_after,
    )


def _problem(response: httpx.Response) -> Problem:
    """Return the error in the body; one made from the status if a proxy answered."""
    try:
        problem: Problem = response.json()["error"]
        return {**problem, "code": problem["code"], "message": problem["message"]}
    except (ValueError, LookupError, TypeError):
        return Problem(
            code="unknown",
            message=f"HTTP status {response.status_code} without an error of the service",
            status=response.status_code,
            requestId=response.headers.get("X-Request-Id", ""),
        )
