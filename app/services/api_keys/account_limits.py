"""The limits of an account: the settings, unless an operator has changed them."""

from dataclasses import asdict, dataclass
from typing import cast
from uuid import UUID

from limits import RateLimitItem
from limits import parse_many as parse_limits
from sqlalchemy.orm import Session

from app import ids, settings
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import AccountLimits
from app.models.stored_json import AuditDetails
from app.services.audit import audit_log

MAX_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an account.

    rate_limit              API requests of all keys together, like ``1000 per minute``
    max_api_keys            keys that are neither revoked nor expired
    concurrent_evaluations  calls of ``checks/evaluate`` at the same time
    concurrent_exports      files of lists at the same time
    """

    rate_limit: str
    max_api_keys: int
    concurrent_evaluations: int
    concurrent_exports: int


@dataclass(frozen=True, slots=True)
class Changes:
    """New limits as text. None: unchanged; RESET: the default."""

    rate_limit: str | None = None
    max_api_keys: str | None = None
    concurrent_evaluations: str | None = None
    concurrent_exports: str | None = None


RESET = "default"


def find(account_id: UUID) -> Limits:
    """Return the limits of the account."""
    with transaction(readonly=True) as session:
        return of_account(session, account_id)


def of_account(session: Session, account_id: UUID) -> Limits:
    """Like ``find``; runs in the caller's transaction."""
    current = settings.current()
    row = session.get(AccountLimits, account_id)
    return Limits(
        rate_limit=(row and row.rate_limit) or current.account_rate_limit,
        max_api_keys=(row and row.max_api_keys) or current.max_api_keys,
        concurrent_evaluations=(row and row.concurrent_evaluations)
        or current.concurrent_evaluations,
        concurrent_exports=(row and row.concurrent_exports) or current.concurrent_exports,
    )


def change(account_id: UUID, changes: Changes, *, actor: str) -> Limits:
    """Change limits of the account, and return its limits.

    raises  InvalidRequest for an invalid value
    """
    values = {name: text for name, text in asdict(changes).items() if text is not None}
    parsed = {name: _parse(name, text) for name, text in values.items()}
    with transaction() as session:
        row = session.get(AccountLimits, account_id)
        if row is None and parsed:
            row = AccountLimits(account_id=account_id)
            session.add(row)
        for name, value in parsed.items():
            setattr(row, name, value)
        if parsed:
            audit_log.record(
                session,
                account_id,
                actor=actor,
                action="account.limits_changed",
                target=ids.public("acc", account_id),
                **cast(AuditDetails, parsed),  # its keys are names of limits
            )
        session.flush()
        return of_account(session, account_id)


def rate_per_minute(limits: str) -> float:
    """Return the requests per minute that the limits allow in the long run.

    raises  ValueError for text that is not a limit
    """
    return min(_rate(item) for item in parse_limits(limits))


def _rate(item: RateLimitItem) -> float:
    return item.amount * 60 / item.get_expiry()


def _parse(name: str, text: str) -> str | int | None:
    if text == RESET:
        return None
    if name == "rate_limit":
        try:
            rate_per_minute(text[:100])
        except ValueError:
            raise InvalidRequest.field(name, "expected format: 1000 per minute") from None
        return text[:100]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_NUMBER):
        raise InvalidRequest.field(name, f"must be a number from 1 to {MAX_NUMBER}, or {RESET}")
    return int(text)
