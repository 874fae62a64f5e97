"""Upload tokens: creating, checking and revoking them.

A token is ``mu_`` + 12 characters of public id + 32 of secret + 6 of checksum, all base 62, like
an API key. Only its HMAC-SHA-256 is stored. A report that is uploaded with one is the account's
own; the address that it is posted to is public, and proves nothing.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app import ids, keyring
from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound
from app.keyring import Purpose
from app.models import Account, UploadToken
from app.services.api_keys import key_tokens
from app.services.audit import audit_log

PREFIX = "mu_"
MAX_ACTIVE = 100  # of one account
USE_INTERVAL = timedelta(minutes=1)  # at which the last use is stored
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"mu_[0-9A-Za-z]{50}")
_DUMMY = b"\0" * 32  # compared with when the id is unknown, so that both take the same time


@dataclass(frozen=True, slots=True)
class Uploader:
    """The holder of a usable upload token."""

    token_id: str
    account_id: UUID


def issue(
    account_id: UUID, name: str, *, actor: str, expires_at: datetime | None = None
) -> tuple[UploadToken, str]:
    """Create an upload token; return its row and the token, which is shown once and not stored.

    raises  InvalidRequest
    """
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest.field("name", "enter 1 to 100 printable characters")
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(44))
    token = body + key_tokens.checksum(body)
    with transaction() as session:
        created_at = now(session)
        if expires_at is not None and expires_at <= created_at:
            raise InvalidRequest.field("expiresAt", "must be a time in the future")
        _expect_room(session, account_id, created_at)
        row = UploadToken(
            id=ids.new(),
            account_id=account_id,
            token_id=token_id_of(token),
            digest=_digests(token)[0],
            name=name,
            created_by=actor,
            created_at=created_at,
            expires_at=expires_at,
        )
        session.add(row)
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="upload_token.created",
            target=row.token_id,
            name=name,
        )
    return row, token


def search(account_id: UUID) -> Sequence[UploadToken]:
    """Return the account's upload tokens, newest first, including revoked and expired ones."""
    with transaction(readonly=True) as session:
        return read(session, account_id)


def read(session: Session, account_id: UUID) -> Sequence[UploadToken]:
    """As ``search``, in the caller's transaction."""
    return session.scalars(
        select(UploadToken)
        .where(UploadToken.account_id == account_id)
        .order_by(UploadToken.id.desc())
    ).all()


def revoke(account_id: UUID, token_id: str, *, actor: str) -> UploadToken:
    """Revoke the token.

    raises  NotFound
    """
    with transaction() as session:
        row = session.scalar(
            select(UploadToken)
            .where(UploadToken.account_id == account_id, UploadToken.token_id == token_id)
            .with_for_update()
        )
        if row is None:
            raise NotFound
        if row.revoked_at is None:
            row.revoked_at = now(session)
            audit_log.record(
                session, account_id, actor=actor, action="upload_token.revoked", target=token_id
            )
    return row


def authenticate(token: str) -> Uploader | None:
    """Return the holder of the token, or None if it is unknown, revoked or expired.

    raises   ServiceUnavailable if the database is unavailable
    effects  stores the time of use, at most once a minute
    """
    if not is_well_formed(token):
        return None
    with transaction(readonly=True) as session:
        match = session.execute(
            select(UploadToken, Account.status)
            .join(Account, Account.id == UploadToken.account_id)
            .where(UploadToken.token_id == token_id_of(token))
        ).first()
        used_at = now(session)
    row, status = match or (None, "")
    stored = row.digest if row else _DUMMY
    matches = [hmac.compare_digest(digest, stored) for digest in _digests(token)]
    if row is None or not any(matches) or not row.is_usable(used_at) or status != "active":
        return None
    if row.last_used_at is None or used_at - row.last_used_at >= USE_INTERVAL or not matches[0]:
        _store_use(row.id, _digests(token)[0], used_at)
    return Uploader(row.token_id, row.account_id)


def _store_use(row_id: UUID, digest: bytes, used_at: datetime) -> None:
    """Store the time of use, and the digest under the current SECRET_KEY."""
    with transaction() as session:
        session.execute(
            update(UploadToken)
            .where(UploadToken.id == row_id)
            .values(last_used_at=used_at, digest=digest)
        )


def _expect_room(session: Session, account_id: UUID, at: datetime) -> None:
    active = session.scalar(
        select(func.count()).where(
            UploadToken.account_id == account_id,
            UploadToken.revoked_at.is_(None),
            or_(UploadToken.expires_at.is_(None), UploadToken.expires_at > at),
        )
    )
    if (active or 0) >= MAX_ACTIVE:
        raise InvalidRequest.field(
            "name",
            f"an account can have at most {MAX_ACTIVE} active upload tokens; revoke one first",
        )


def is_well_formed(token: str) -> bool:
    """Return whether the text is an upload token, by its form and its checksum."""
    return _TOKEN.fullmatch(token) is not None and key_tokens.checksum(token[:-6]) == token[-6:]


def matches_digest(token: str, stored: bytes) -> bool:
    """Return whether the digest is that of the token, under any key that is in use."""
    return any(hmac.compare_digest(digest, stored) for digest in _digests(token))


def token_id_of(token: str) -> str:
    """Return the public id of a well-formed token."""
    return token[len(PREFIX) : len(PREFIX) + 12]


def _digests(token: str) -> list[bytes]:
    """The token's HMAC under the current key of the process, then under older ones."""
    usable = keyring.usable(Purpose.UPLOAD_TOKENS)
    return [hmac.digest(key, token.encode(), "sha256") for key in usable]
