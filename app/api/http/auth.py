"""Authentication and authorization: the hooks before and after the rate limiter."""

from collections.abc import Sequence

from flask import Flask, g, request

from app.api.http.endpoint import spec_of
from app.errors import ApplicationError, Forbidden, ServiceUnavailable, Unauthorized
from app.services.api_keys import callers
from app.services.api_keys.callers import Caller
from app.services.audit import refusals
from app.services.audit.refusals import Refusal


def init_app(app: Flask) -> None:
    """Resolve the key of every request; must be registered before the limiter."""
    app.before_request(identify)


def identify() -> None:
    """Set ``g.caller`` to the holder of the request's key, or None, without refusing anyone.

    Refusals wait for ``authorize``, so that the limiter counts them and they carry its headers.
    """
    token, address = _token(), request.remote_addr or ""
    try:
        g.caller = callers.resolve(token, address)
    except ServiceUnavailable as error:
        g.unresolved = error  # never open, and never a 401 for a valid key
        g.last_known_caller = callers.last_known(token, address)


def authorize() -> None:
    """Refuse calls without a key, or without a scope that the view requires, unless it is public.

    raises  Unauthorized, Forbidden; ServiceUnavailable if the key could not be looked up
    """
    spec = spec_of(request.endpoint)
    if spec.is_public:
        return
    caller = caller_or_none()
    if caller is None:
        unresolved: ApplicationError | None = g.get("unresolved")
        raise unresolved or Unauthorized
    require_scope(caller, spec.scopes, f"{request.method} {request.url_rule}")


def require_scope(caller: Caller, scopes: Sequence[str], target: str) -> None:
    """Refuse a caller that has none of the scopes; without scopes, every caller is allowed.

    target   what is called, as the audit log shows it
    raises   Forbidden
    effects  an entry in the audit log of the account
    """
    if not scopes or not caller.scopes.isdisjoint(scopes):
        return
    g.required_scopes = scopes
    required = " or ".join(scopes)
    refusals.note(
        Refusal(
            account_id=caller.account_id,
            actor=caller.actor,
            action="key.scope_refused",
            target=target,
            reason=f"missing scope {required}",
        )
    )
    raise Forbidden(required)


def current() -> Caller:
    """Return the caller; only for views behind ``authorize``."""
    caller = caller_or_none()
    if caller is None:
        raise Unauthorized
    return caller


def caller_or_none() -> Caller | None:
    """Return the caller, or None; for the hooks."""
    caller: Caller | None = g.get("caller")
    return caller


def is_unresolved() -> bool:
    """Return whether the caller is unknown because the database is unavailable; for the hooks."""
    return "unresolved" in g


def last_known_caller() -> Caller | None:
    """Return who recently had the key of an unresolved request; only for its rate limits."""
    caller: Caller | None = g.get("last_known_caller")
    return caller


def _token() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
