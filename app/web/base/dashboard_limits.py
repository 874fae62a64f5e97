"""Rate limits of the dashboard: by user, or by network without a session."""

from flask import request

from app import settings
from app.limits import rate_limiter
from app.protocols.client_networks import client_network
from app.services.sign_in.sessions import UserSession


def count(user: UserSession | None) -> None:
    """Count this request; its response has the headers of this count.

    All sessions of a user share one limit, so that signing in again does not reset it.

    raises  RateLimitExceeded
    """
    current = settings.current()
    if user is not None:
        counter, limit = f"dashboard:user:{user.user_id}", current.dashboard_rate_limit
    else:
        network = client_network(request.remote_addr or "unknown")
        counter, limit = f"dashboard:network:{network}", current.dashboard_anonymous_rate_limit
    rate_limiter.count_and_show(counter, limit)
