"""API keys: made, checked on every call, rotated and revoked.

A key is ``mp_`` + 12 characters of public id + 32 of secret + 6 of checksum, all base 62. Only its
HMAC-SHA-256 is kept, keyed with SECRET_KEY, so that a stolen database confirms no key.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, true, update
from sqlalchemy.orm import Session

from app import ids, keyring, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.keyring import Purpose
from app.models import Account, AccountLimits, ApiKey
from app.models.keys import Scope
from app.services.api_keys import account_limits, usage
from app.services.api_keys.account_limits import Limits
from app.services.core import audit_log, refusals, security_emails
from app.services.core.refusals import Refusal

PREFIX = "mp_"
MAX_GRACE = timedelta(days=7)
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"mp_[0-9A-Za-z]{50}")
_DUMMY = b"\0" * 32  # compared with when the id is unknown, so that both take the same time
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be. ``rate_limit`` like ``100 per minute``; None: the service's own."""

    name: str
    scopes: Sequence[Scope]
    expires_at: datetime | None = None
    allow_cidrs: Sequence[str] = ()
    rate_limit: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a usable key and its account."""

    id: UUID
    key_id: str
    name: str
    account_id: UUID
    account_name: str
    scopes: frozenset[str]
    allow_cidrs: tuple[str, ...]
    rate_limit: str | None
    account_rate_limit: str | None
    created_at: datetime
    expires_at: datetime | None

    @property
    def actor(self) -> str:
        """The caller in histories and in the log of acts."""
        return f"key:{self.key_id}"

    def is_allowed_from(self, address: str) -> bool:
        """The key has no list of networks, or one of them holds the address."""
        if not self.allow_cidrs:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(cidr) for cidr in self.allow_cidrs)


def resolve(token: str | None, address: str) -> Caller | None:
    """The caller with this key at this address; None for whatever is wrong with either.

    raises  ServiceUnavailable if the database cannot be asked
    effects none; a positive answer is kept for KEY_CACHE_SECONDS, so that a revoked key is refused
            within that time in every process
    """
    if token is None:
        return None
    caller = _cache.find(token) or _find(token)
    if caller is None or caller.is_allowed_from(address):
        return caller
    usage.record(caller.id, usage.REFUSED_ADDRESS, 401, address)  # its owner should see that
    _note_refusal(caller.account_id, caller.key_id, "address not allowed")
    return None


def issue(account_id: UUID, new: NewKey, *, actor: str) -> tuple[ApiKey, str]:
    """The row, and the key itself, which is shown once and kept nowhere.

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
    _check(new, limits)
    _check_room(session, account_id, limits, rotated_from)
    token = mint()
    key = ApiKey(
        id=ids.new(),
        account_id=account_id,
        key_id=key_id_of(token),
        digest=_digests(token)[0],
        name=new.name.strip(),
        scopes=sorted(new.scopes),
        allow_cidrs=list(new.allow_cidrs),
        rate_limit=new.rate_limit,
        created_by=actor,
        created_at=datetime.now(UTC),
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
    """The account's keys, newest first; the revoked and the expired too."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id.desc())
        ).all()


def revoke(account_id: UUID, key_id: str, *, actor: str, reason: str | None = None) -> ApiKey:
    """Refuse the key from now on: at once here, within KEY_CACHE_SECONDS in other processes.

    raises  NotFound
    """
    with transaction() as session:
        key = _owned(session, account_id, key_id)
        if key.revoked_at is None:
            revoke_rows(session, [key], actor=actor, reason=reason)
    forget_cached()
    return key


def revoke_rows(
    session: Session, rows: Sequence[ApiKey], *, actor: str, reason: str | None
) -> None:
    """Revoke keys in the caller's transaction; the caller calls ``forget_cached`` after it."""
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


def forget_cached() -> None:
    """Have this process look up every key again: one of them has changed."""
    _cache.clear()


def rotate(account_id: UUID, key_id: str, grace: timedelta, *, actor: str) -> tuple[ApiKey, str]:
    """A new key like this one, which itself ends after ``grace`` (or earlier, if it had an end).

    raises  NotFound; InvalidRequest for a grace above 7 days, or a key that has ended
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidRequest.field("grace", "0 to 7 days")
    with transaction() as session:
        old = _owned(session, account_id, key_id)
        now = transactions.now(session)
        if not old.is_usable(now):
            raise InvalidRequest.field("key", "it has ended; make a new one")
        new = NewKey(
            old.name,
            [Scope(scope) for scope in old.scopes],
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
    _cache.clear()
    return key, token


def matches_digest(token: str, stored: bytes) -> bool:
    """Whether the stored digest is that of this token, under any SECRET_KEY in use."""
    return any(hmac.compare_digest(digest, stored) for digest in _digests(token))


def mint() -> str:
    """A fresh key: 71 bits of public id, 190 bits of secret, and the checksum of both."""
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(44))
    return body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of the body in 6 characters of base 62: finds slips of the pen; no security."""
    value, digits = zlib.crc32(body.encode()), []
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def is_well_formed(token: str) -> bool:
    """Whether this is the text of a key, by its form and its checksum."""
    return _TOKEN.fullmatch(token) is not None and checksum(token[:-6]) == token[-6:]


def key_id_of(token: str) -> str:
    """The public id in a well-formed key."""
    return token[len(PREFIX) : len(PREFIX) + 12]


def _digests(token: str) -> list[bytes]:
    """The API key's HMAC under the current key of the process, then under older ones."""
    usable = keyring.usable(Purpose.API_KEYS)
    return [hmac.digest(key, token.encode(), "sha256") for key in usable]


def _find(token: str) -> Caller | None:
    if not is_well_formed(token):
        return None
    with transaction(readonly=True) as session:
        found = session.execute(
            select(ApiKey, Account.name, Account.status, AccountLimits.rate_limit)
            .join(Account, Account.id == ApiKey.account_id)
            .outerjoin(AccountLimits, AccountLimits.account_id == ApiKey.account_id)
            .where(ApiKey.key_id == key_id_of(token))
        ).first()
        now = transactions.now(session)
    key, account_name, status, account_limit = found or (None, "", "", None)
    digests = _digests(token)
    stored = key.digest if key else _DUMMY
    matches = [hmac.compare_digest(digest, stored) for digest in digests]
    if key is None:
        return None
    if reason := _refusal(key, any(matches), now, status):
        _note_refusal(key.account_id, key.key_id, reason)
        return None
    if not matches[0]:
        _update_digest(key.id, digests[0])
    caller = Caller(
        key.id,
        key.key_id,
        key.name,
        key.account_id,
        account_name,
        frozenset(key.scopes),
        tuple(key.allow_cidrs),
        key.rate_limit,
        account_limit,
        key.created_at,
        key.expires_at,
    )
    _cache.keep(token, caller)
    return caller


def _refusal(key: ApiKey, is_secret_correct: bool, at: datetime, status: str) -> str | None:
    """Why the key is refused; None if it is valid."""
    if not is_secret_correct:
        return "wrong secret"
    if not key.is_usable(at):
        return "revoked" if key.revoked_at is not None else "expired"
    return None if status == "active" else "account suspended"


def _note_refusal(account_id: UUID, key_id: str, reason: str) -> None:
    refusals.note(Refusal(account_id, refusals.ANONYMOUS, "key.refused", key_id, reason))


def _update_digest(key: UUID, digest: bytes) -> None:
    """The key was seen under a previous SECRET_KEY: keep its digest under the one of today."""
    with transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key).values(digest=digest))


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
    """Refuse a key beyond the account's number; the key that it replaces does not count."""
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


def _check(new: NewKey, limits: Limits) -> None:
    if not 1 <= len(new.name.strip()) <= 100 or not new.name.isprintable():
        raise InvalidRequest.field("name", "1 to 100 printable characters")
    if not new.scopes:
        raise InvalidRequest.field("scopes", "at least one of " + ", ".join(Scope))
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise InvalidRequest.field("expiresAt", "in the past")
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
        raise InvalidRequest.field("rateLimit", "it must read like '100 per minute'") from None
    if rate > account_limits.rate_per_minute(limits.rate_limit):
        message = f"at most {limits.rate_limit}, the limit of all keys of the account"
        raise InvalidRequest.field("rateLimit", message)


class _Cache:
    """Callers seen lately, by the digest of their key: never the key itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[bytes, tuple[float, Caller]] = {}

    def find(self, token: str) -> Caller | None:
        kept = self._seen.get(hashlib.sha256(token.encode()).digest())
        if kept is None or time.monotonic() >= kept[0]:
            return None
        caller = kept[1]
        return (
            caller if caller.expires_at is None or datetime.now(UTC) < caller.expires_at else None
        )

    def keep(self, token: str, caller: Caller) -> None:
        until = time.monotonic() + settings.current().key_cache_seconds
        with self._lock:
            if len(self._seen) >= _CACHE_SIZE:
                self._seen.clear()
            self._seen[hashlib.sha256(token.encode()).digest()] = (until, caller)

    def clear(self, *_: Any) -> None:
        with self._lock:
            self._seen.clear()


_cache = _Cache()
