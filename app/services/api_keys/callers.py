"""The callers of the API: the API key of a request, resolved and cached."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from app import settings, wall_clock
from app.db import transactions
from app.db.transactions import transaction
from app.models import Account, AccountLimits, ApiKey
from app.services.api_keys import key_tokens, usage
from app.services.audit import refusals
from app.services.audit.refusals import Refusal
from app.services.core.caches import Cache

MAX_CACHED = 10_000
LAST_KNOWN_SECONDS = 3600.0
_DUMMY = b"\0" * 32  # compared with if the id is unknown, so that both cases take the same time


@dataclass(frozen=True, slots=True)
class Caller:
    """A usable API key and its account."""

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
    def scope_names(self) -> list[str]:
        """The scopes in alphabetical order."""
        return sorted(self.scopes)

    @property
    def actor(self) -> str:
        """The caller in histories and in the audit log."""
        return f"key:{self.key_id}"

    def is_allowed_from(self, address: str) -> bool:
        """Return whether the key may be used from this address."""
        if not self.allow_cidrs:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in ipaddress.ip_network(cidr) for cidr in self.allow_cidrs)


# By the SHA-256 of the token, so that no token is in memory for longer than its request.
_cache = Cache[bytes, Caller](MAX_CACHED, lambda: settings.current().key_cache_seconds)
# The same for longer: it never lets a request in, and is used while the database is unavailable.
_last_known = Cache[bytes, Caller](MAX_CACHED, lambda: LAST_KNOWN_SECONDS)


def resolve(token: str | None, address: str) -> Caller | None:
    """Return the caller with this token, or None if it is not valid at this address.

    A caller is cached for KEY_CACHE_SECONDS; within that time a revoked key is refused in every
    process.

    raises  ServiceUnavailable if the database is unavailable
    """
    if token is None:
        return None
    caller = _cached(token) or _find(token, address)
    if caller is None or caller.is_allowed_from(address):
        return caller
    usage.record(caller.id, usage.REFUSED_ADDRESS, 401, address)  # shown to the account
    _note_refusal(caller.account_id, caller.key_id, "address not allowed")
    return None


def last_known(token: str | None, address: str) -> Caller | None:
    """Return the caller that recently had this token, whose limits apply if it cannot be resolved.

    The key may have been revoked since then: the caller must not be let in.
    """
    caller = _last_known.get(_cache_key(token)) if token else None
    return caller if caller and caller.is_allowed_from(address) else None


def forget_cached() -> None:
    """Clear the cache of this process after a change of a key."""
    _cache.clear()


def _cached(token: str) -> Caller | None:
    caller = _cache.get(_cache_key(token))
    if caller is None or caller.expires_at is None or wall_clock.now() < caller.expires_at:
        return caller
    return None


def _cache_key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _find(token: str, address: str) -> Caller | None:
    if not key_tokens.is_well_formed(token):
        return None
    with transaction(readonly=True) as session:
        row = session.execute(
            select(ApiKey, Account.name, Account.status, AccountLimits.rate_limit)
            .join(Account, Account.id == ApiKey.account_id)
            .outerjoin(AccountLimits, AccountLimits.account_id == ApiKey.account_id)
            .where(ApiKey.key_id == key_tokens.key_id_of(token))
        ).first()
        now = transactions.now(session)
    key, account_name, status, account_limit = row or (None, "", "", None)
    digests = key_tokens.digests(token)
    stored = key.digest if key else _DUMMY
    matches = [hmac.compare_digest(digest, stored) for digest in digests]
    if key is None:
        return None
    if reason := _refusal(key, any(matches), now, status):
        _note_refusal(key.account_id, key.key_id, reason)
        if any(matches):  # the key id alone is not secret, and must not change what is shown
            usage.record(key.id, f"refused: {reason}", 401, address)
        return None
    if not matches[0]:
        _update_digest(key.id, digests[0])
    caller = Caller(
        id=key.id,
        key_id=key.key_id,
        name=key.name,
        account_id=key.account_id,
        account_name=account_name,
        scopes=frozenset(key.scopes),
        allow_cidrs=tuple(key.allow_cidrs),
        rate_limit=key.rate_limit,
        account_rate_limit=account_limit,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
    _cache.put(_cache_key(token), caller)
    _last_known.put(_cache_key(token), caller)
    return caller


def _refusal(key: ApiKey, is_secret_correct: bool, at: datetime, status: str) -> str | None:
    """Return the reason why the key is refused, or None if it is valid."""
    if not is_secret_correct:
        return "wrong secret"
    if not key.is_usable(at):
        return key.status(at)
    return None if status == "active" else "account suspended"


def _note_refusal(account_id: UUID, key_id: str, reason: str) -> None:
    refusals.note(
        Refusal(
            account_id=account_id,
            actor=refusals.ANONYMOUS,
            action="key.refused",
            target=key_id,
            reason=reason,
        )
    )


def _update_digest(key: UUID, digest: bytes) -> None:
    """Store the digest under the current key, after a match under an older one."""
    with transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key).values(digest=digest))
