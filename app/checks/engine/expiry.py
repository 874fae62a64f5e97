"""How severe it is that a certificate expires soon."""

from datetime import datetime, timedelta

from app.checks.engine.types import Severity

_SOON = ((1, Severity.CRITICAL), (7, Severity.HIGH), (30, Severity.MEDIUM))  # days until it expires


def expires_soon(not_after: str | None, now: datetime | None) -> Severity | None:
    """The severity of a certificate that expires at ``not_after``; None if not soon or unknown.

    not_after  RFC 3339
    """
    if not_after is None or now is None:
        return None
    remaining = datetime.fromisoformat(not_after) - now
    return next((severity for days, severity in _SOON if remaining <= timedelta(days=days)), None)
