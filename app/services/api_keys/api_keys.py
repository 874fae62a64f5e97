"""API keys: creating, listing, rotating and revoking them."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, true
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, ApiKey
from app.models.keys import Scope
from app.services.api_keys import account_limits, callers, key_tokens
from app.services.api_keys.account_limits import Limits
from app.services.audit import audit_log
from app.services.emails import security_emails

MAX_GRACE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NewKey:
    """The properties of a new key; ``rate_limit`` like ``100 per minute``, None: RATE_LIMIT."""

    name: str
    scopes: Sequence[Scope]
    expires_at: datetime | None = None
    allow_cidrs: Sequence[str] = ()
    rate_limit: str | None = None


def issue(account_id: UUID, new: NewKey, *, actor: str) -> tuple[ApiKey, str]:
    """Create a key; return its row and its token, which is shown only once and not stored.

    raises  InvalidRequest
    """
    with transaction() as session:
        key, token = add(session, account_id, new, actor=actor)
        security_emails.keys_changed(session, [key], "created", actor)
    return key, token


def add(
    session: Session,
    account_id: UUID,
    new: NewKey,
    *,
    actor: str,
    rotated_from: UUID | None = None,
) -> tuple[ApiKey, str]:
    """As ``issue``; runs in the caller's transaction."""
    limits = account_limits.of_account(session, account_id)
    now = transactions.now(session)
    _check(new, limits, now)
    _check_room(session, account_id, limits, rotated_from)
    token = key_tokens.mint()
    key = ApiKey(
        id=ids.new(),
        account_id=account_id,
        key_id=key_tokens.key_id_of(token),
        digest=key_tokens.digests(token)[0],
        name=new.name.strip(),
        scopes=sorted(new.scopes),
        allow_cidrs=list(new.allow_cidrs),
        rate_limit=new.rate_limit,
        created_by=actor,
        created_at=now,
        expires_at=new.expires_at,
        rotated_from=rotated_from,
    )
    session.add(key)
    audit_log.record(
        session,
        account_id,
        actor=actor,
        action="key.created",
        target=key.key_id,
        name=key.name,
        scopes=key.scopes,
    )
    return key, token


def search(account_id: UUID) -> Sequence[ApiKey]:
    """Return the account's keys, newest first, including revoked and expired ones."""
    with transaction(readonly=True) as session:
        return read(session, account_id)


def read(session: Session, account_id: UUID) -> Sequence[ApiKey]:
    """As ``search``, in the caller's transaction."""
    return session.scalars(
        select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id.desc())
    ).all()


def revoke(account_id: UUID, key_id: str, *, actor: str, reason: str | None = None) -> ApiKey:
    """Revoke the key; other processes refuse it within KEY_CACHE_SECONDS.

    raises  NotFound
    """
    with transaction() as session:
        key = _owned(session, account_id, key_id)
        if key.revoked_at is None:
            revoke_rows(session, [key], actor=actor, reason=reason)
    callers.forget_cached()
    return key


def revoke_rows(
    session: Session, rows: Sequence[ApiKey], *, actor: str, reason: str | None
) -> None:
    """Revoke keys in the caller's transaction, after which ``callers.forget_cached`` is due."""
    at = transactions.now(session)
    for key in rows:
        key.revoked_at, key.revoked_reason = at, reason
        audit_log.record(
            session,
            key.account_id,
            actor=actor,
            action="key.revoked",
            target=key.key_id,
            reason=reason,
        )
    security_emails.keys_changed(session, rows, "revoked", actor)


def rotate(account_id: UUID, key_id: str, grace: timedelta, *, actor: str) -> tuple[ApiKey, str]:
    """Create a key with the same properties; the old one expires after ``grace``, or earlier.

    returns  the row of the new key, and its token
    raises   NotFound; InvalidRequest for a grace above 7 days, a key that is not active, or one
             that was rotated before, unless its successor is revoked
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidRequest.field("grace", "must be 0 to 7 days")
    with transaction() as session:
        old = _owned(session, account_id, key_id)
        now = transactions.now(session)
        if not old.is_usable(now):
            raise InvalidRequest.field("key", "the key is not active; create a new one")
        _check_not_rotated(session, old)
        new = NewKey(
            name=old.name,
            scopes=[Scope(scope) for scope in old.scopes],
            expires_at=old.expires_at,
            allow_cidrs=old.allow_cidrs,
            rate_limit=old.rate_limit,
        )
        key, token = add(session, account_id, new, actor=actor, rotated_from=old.id)
        security_emails.keys_changed(session, [old], "rotated", actor, replacement=key)
        old.expires_at = min(old.expires_at or now + grace, now + grace)
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="key.rotated",
            target=key_id,
            new=key.key_id,
            ends=old.expires_at.isoformat(),
        )
    callers.forget_cached()
    return key, token


def _check_not_rotated(session: Session, key: ApiKey) -> None:
    """Refuse a second successor: the first rotation has set the expiry of this key."""
    successor = session.scalar(
        select(ApiKey.key_id).where(ApiKey.rotated_from == key.id, ApiKey.revoked_at.is_(None))
    )
    if successor is not None:
        message = f"This key was already rotated. Rotate its successor {successor} instead."
        raise InvalidRequest([{"field": "key", "code": "rotated", "message": message}], message)


def _owned(session: Session, account_id: UUID, key_id: str) -> ApiKey:
    key = session.scalar(
        select(ApiKey)
        .where(ApiKey.account_id == account_id, ApiKey.key_id == key_id)
        .with_for_update()
    )
    if key is None:
        raise NotFound
    return key


def _check_room(
    session: Session, account_id: UUID, limits: Limits, rotated_from: UUID | None
) -> None:
    """Reject a key above the account's limit; the key that it replaces does not count."""
    session.scalar(select(Account.id).where(Account.id == account_id).with_for_update())
    count = session.scalar(
        select(func.count())
        .select_from(ApiKey)
        .where(ApiKey.account_id == account_id, ApiKey.revoked_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > transactions.now(session)))
        .where(ApiKey.id != rotated_from if rotated_from else true())
    )
    if (count or 0) >= limits.max_api_keys:
        message = f"Your account has {count} active API keys, the maximum. Revoke one first."
        raise InvalidRequest([{"field": "name", "code": "limit", "message": message}], message)


def _check(new: NewKey, limits: Limits, now: datetime) -> None:
    if not 1 <= len(new.name.strip()) <= 100 or not new.name.isprintable():
        raise InvalidRequest.field("name", "enter 1 to 100 printable characters")
    if not new.scopes:
        raise InvalidRequest.field("scopes", "select at least one of " + ", ".join(Scope))
    if new.expires_at is not None and new.expires_at <= now:
        raise InvalidRequest.field("expiresAt", "must be a time in the future")
    for cidr in new.allow_cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise InvalidRequest.field("allowCidrs", str(error)) from None
    if new.rate_limit is not None:
        _check_rate(new.rate_limit, limits)


def _check_rate(rate_limit: str, limits: Limits) -> None:
    try:
        rate = account_limits.rate_per_minute(rate_limit)
    except ValueError:
        raise InvalidRequest.field("rateLimit", "expected format: 100 per minute") from None
    if rate > account_limits.rate_per_minute(limits.rate_limit):
        message = (
            f"must be at most {limits.rate_limit}, the limit for all keys of the account together"
        )
        raise InvalidRequest.field("rateLimit", message)
