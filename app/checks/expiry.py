"""How soon is too soon for a certificate to end."""

from datetime import datetime, timedelta

from app.checks.contract import Severity

_SOON = ((1, Severity.CRITICAL), (7, Severity.HIGH), (30, Severity.MEDIUM))  # days that are left


def ends_soon(not_after: str | None, now: datetime | None) -> Severity | None:
    """How bad it is that a certificate ends then; None if that is not soon, or not known.

    not_after  RFC 3339
    """
    if not_after is None or now is None:
        return None
    left = datetime.fromisoformat(not_after) - now
    return next((severity for days, severity in _SOON if left <= timedelta(days=days)), None)
