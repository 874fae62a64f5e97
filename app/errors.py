"""The errors of requests; the code and status of each are on its class.

ApplicationError
  Unauthorized · Forbidden · InvalidRequest · NotFound · ServiceUnavailable
  Conflict · PreconditionFailed · IdempotencyMismatch · IdempotencyInProgress
  QuotaExceeded · TooManyAttempts
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from app import ids

NOT_FOUND = "Not found"  # the message of an error that names no resource


class ApplicationError(Exception):
    """An error response with ``code`` and ``status``; ``extra`` has its additional fields."""

    code = "internal_error"
    status = 500

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extra: Mapping[str, Any] = extra


class Unauthorized(ApplicationError):
    code, status = "unauthorized", 401

    def __init__(self, message: str = "Invalid or missing API key") -> None:
        super().__init__(message)


class Forbidden(ApplicationError):
    code, status = "forbidden", 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"Insufficient permissions. Required scope: {scope}")


class InvalidRequest(ApplicationError):
    """Invalid input; ``details`` has all errors, each ``{"field", "code", "message"}``."""

    code, status = "invalid_request", 400

    def __init__(self, details: Sequence[Mapping[str, str]], message: str | None = None) -> None:
        super().__init__(
            message or "; ".join(f"{d['field']}: {d['message']}" for d in details[:3]),
            details=list(details),
        )

    @classmethod
    def field(cls, name: str, message: str, code: str = "invalid") -> Self:
        """Return the error of one field."""
        return cls([{"field": name, "code": code, "message": message}])


class NotFound(ApplicationError):
    """The resource does not exist or belongs to another account; both look the same."""

    code, status = "not_found", 404

    def __init__(self, message: str = NOT_FOUND) -> None:
        super().__init__(message)

    @classmethod
    def of(cls, prefix: str, ref: UUID | str) -> Self:
        """Return the error that names the resource.

        prefix  of the ids of its type
        ref     its id, or the text in the request that should be one
        """
        text = ids.public(prefix, ref) if isinstance(ref, UUID) else ref
        return cls(f"{ids.NOUNS[prefix]} {text[:253]!r} was not found in this account.")


class Conflict(ApplicationError):
    code, status = "conflict", 409


class PreconditionFailed(ApplicationError):
    code, status = "precondition_failed", 412


class IdempotencyMismatch(ApplicationError):
    code, status = "idempotency_mismatch", 422


class IdempotencyInProgress(ApplicationError):
    code, status = "idempotency_in_progress", 409


class QuotaExceeded(ApplicationError):
    """A quota is exhausted; ``retry_after`` is the number of seconds until it has room again."""

    code, status = "quota_exceeded", 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, retryAfter=retry_after)


class TooManyAttempts(ApplicationError):
    """Too many wrong passwords or codes; ``retry_after``: seconds until the next attempt."""

    code, status = "too_many_attempts", 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, retryAfter=retry_after)


class ServiceUnavailable(ApplicationError):
    code, status = "service_unavailable", 503
