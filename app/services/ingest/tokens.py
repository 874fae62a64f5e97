"""The tokens in an account's addresses for reports: create, rotate, revoke and resolve them.

They are published in DNS, so they are not secret: anyone who knows a token can send reports, and do
nothing else.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, IngestToken
from app.services.audit import audit_log

PREFIX = "itk"
MAX_OVERLAP = timedelta(days=90)  # receivers cache DNS records for long
_LENGTH = 22  # of base 62: 131 bits
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"[0-9A-Za-z]{22}")


@dataclass(frozen=True, slots=True)
class Sender:
    """The account that owns a report address."""

    token_id: UUID
    account_id: UUID


def create(account_id: UUID, *, actor: str) -> IngestToken:
    """Create a token and return it."""
    with transaction() as session:
        return add(session, account_id, actor=actor)


def add(session: Session, account_id: UUID, *, actor: str) -> IngestToken:
    """Create a token in the caller's transaction."""
    token = IngestToken(
        id=ids.new(),
        account_id=account_id,
        token="".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)),
        created_by=actor,
        created_at=transactions.now(session),
    )
    session.add(token)
    _audit(session, token, actor, "created")
    return token


def search(account_id: UUID) -> Sequence[IngestToken]:
    """Return the account's tokens, newest first, including revoked and expired ones."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(IngestToken)
            .where(IngestToken.account_id == account_id)
            .order_by(IngestToken.id.desc())
        ).all()


def resolve(text: str) -> Sender | None:
    """Return the owner of a token; None if the token is unknown, revoked or expired.

    raises  ServiceUnavailable if the database is unavailable
    """
    if not _TOKEN.fullmatch(text):
        return None
    with transaction(readonly=True) as session:
        row = session.execute(
            select(IngestToken, Account.status)
            .join(Account, Account.id == IngestToken.account_id)
            .where(IngestToken.token == text)
        ).first()
        now = transactions.now(session)
    if row is None:
        return None
    token, account_status = row
    if account_status != "active" or not token.is_usable(now):
        return None
    return Sender(token.id, token.account_id)


def rotate(account_id: UUID, ref: str, overlap: timedelta, *, actor: str) -> IngestToken:
    """Create a new token and return it; the old one expires after ``overlap`` at the latest.

    ref     its id (``itk_…``), or the token itself
    raises  NotFound; InvalidRequest for an overlap above 90 days, or an expired or revoked token
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidRequest.field("overlap", f"must be 0 to {MAX_OVERLAP.days} days")
    with transaction() as session:
        old = _owned(session, account_id, ref)
        now = transactions.now(session)
        if not old.is_usable(now):
            raise InvalidRequest.field("token", "the token is expired or revoked; create a new one")
        old.expires_at = min(old.expires_at or now + overlap, now + overlap)
        _audit(session, old, actor, "rotated")
        return add(session, account_id, actor=actor)


def revoke(account_id: UUID, ref: str, *, actor: str) -> IngestToken:
    """Revoke the token: reports to its address are rejected from now on.

    raises  NotFound
    """
    with transaction() as session:
        token = _owned(session, account_id, ref)
        if token.revoked_at is None:
            token.revoked_at = transactions.now(session)
            _audit(session, token, actor, "revoked")
        return token


def usable_address(account_id: UUID) -> str | None:
    """Return the newest address that reports can be sent to now; None if there is none."""
    with transaction(readonly=True) as session:
        token = session.scalar(
            select(IngestToken)
            .where(IngestToken.account_id == account_id, IngestToken.revoked_at.is_(None))
            .where(
                or_(
                    IngestToken.expires_at.is_(None),
                    IngestToken.expires_at > transactions.now(session),
                )
            )
            .order_by(IngestToken.id.desc())
            .limit(1)
        )
        return address(token.token) if token else None


def address(token: str) -> str:
    """Return the URL to which reports of every kind are sent."""
    return f"{settings.current().base_url}/ingest/{token}"


def tls_address(token: str) -> str | None:
    """Return the URL for ``rua=`` of a TLS-RPT record; None unless ``BASE_URL`` is https.

    source  RFC 8460 §3: a report address has the scheme https or mailto
    """
    url = f"{address(token)}/tls-rpt"
    return url if url.startswith("https://") else None


def tls_line(token: str) -> str:
    """Return ``tls_address`` for the output of commands, or why there is none."""
    return tls_address(token) or "none, because BASE_URL does not begin with https://"


def _owned(session: Session, account_id: UUID, ref: str) -> IngestToken:
    is_referred = or_(IngestToken.token == ref, IngestToken.id == ids.parse(PREFIX, ref))
    token = session.scalar(
        select(IngestToken)
        .where(IngestToken.account_id == account_id, is_referred)
        .with_for_update()
    )
    if token is None:
        raise NotFound
    return token


def _audit(session: Session, token: IngestToken, actor: str, action: str) -> None:
    audit_log.record(
        session,
        token.account_id,
        actor=actor,
        action=f"ingest_token.{action}",
        target=ids.public(PREFIX, token.id),
    )
