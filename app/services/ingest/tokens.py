"""The words in an account's addresses for reports: made, rotated, revoked, recognised.

They are published in DNS, so they are not secret: anyone who knows one may send reports, and
nothing else.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, IngestToken
from app.services.core import audit_log

PREFIX = "itk"
MAX_OVERLAP = timedelta(days=90)  # receivers look at DNS rarely
_LENGTH = 22  # of base 62: 131 bits
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"[0-9A-Za-z]{22}")


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose reports they are that come to an address."""

    token_id: UUID
    account_id: UUID


def create(account_id: UUID, *, actor: str) -> IngestToken:
    """A new token."""
    with transaction() as session:
        return add(session, account_id, actor=actor)


def add(session: Session, account_id: UUID, *, actor: str) -> IngestToken:
    """As ``create``, as a step."""
    token = IngestToken(
        id=ids.new(),
        account_id=account_id,
        token="".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)),
        created_by=actor,
        created_at=transactions.now(session),
    )
    session.add(token)
    _note(session, token, actor, "created")
    return token


def search(account_id: UUID) -> Sequence[IngestToken]:
    """The account's tokens, newest first; those that have ended too."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(IngestToken)
            .where(IngestToken.account_id == account_id)
            .order_by(IngestToken.id.desc())
        ).all()


def resolve(text: str) -> Sender | None:
    """Whose token this is; None for one that is unknown, revoked or expired.

    raises  ServiceUnavailable if the database cannot be asked
    """
    if not _TOKEN.fullmatch(text):
        return None
    with transaction(readonly=True) as session:
        found = session.execute(
            select(IngestToken, Account.status)
            .join(Account, Account.id == IngestToken.account_id)
            .where(IngestToken.token == text)
        ).first()
        now = transactions.now(session)
    if found is None or found[1] != "active" or not is_usable(found[0], now):
        return None
    return Sender(found[0].id, found[0].account_id)


def is_usable(token: IngestToken, now: datetime) -> bool:
    """Neither revoked nor expired at that moment."""
    is_over = token.expires_at is not None and token.expires_at <= now
    return token.revoked_at is None and not is_over


def rotate(account_id: UUID, ref: str, overlap: timedelta, *, actor: str) -> IngestToken:
    """A new token; the old one goes on for ``overlap``, or to an earlier end that it has.

    ref     its id (``itk_…``), or the token itself
    raises  NotFound; InvalidRequest for an overlap above 90 days, or a token that has ended
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidRequest.field("overlap", f"0 to {MAX_OVERLAP.days} days")
    with transaction() as session:
        old = _owned(session, account_id, ref)
        now = transactions.now(session)
        if not is_usable(old, now):
            raise InvalidRequest.field("token", "it has ended; make a new one")
        old.expires_at = min(old.expires_at or now + overlap, now + overlap)
        _note(session, old, actor, "rotated")
        return add(session, account_id, actor=actor)


def revoke(account_id: UUID, ref: str, *, actor: str) -> IngestToken:
    """Take nothing in by this token from now on.

    raises  NotFound
    """
    with transaction() as session:
        token = _owned(session, account_id, ref)
        if token.revoked_at is None:
            token.revoked_at = transactions.now(session)
            _note(session, token, actor, "revoked")
        return token


def address(token: str) -> str:
    """Where reports of every kind are posted to."""
    return f"{settings.current().base_url}/ingest/{token}"


def tls_address(token: str) -> str:
    """What ``rua=`` of a TLS-RPT record names (RFC 8460 §5.4)."""
    return f"{address(token)}/tls-rpt"


def _owned(session: Session, account_id: UUID, ref: str) -> IngestToken:
    wanted = or_(IngestToken.token == ref, IngestToken.id == ids.parse(PREFIX, ref))
    token = session.scalar(
        select(IngestToken).where(IngestToken.account_id == account_id, wanted).with_for_update()
    )
    if token is None:
        raise NotFound
    return token


def _note(session: Session, token: IngestToken, actor: str, what: str) -> None:
    audit_log.record(
        session,
        token.account_id,
        actor=actor,
        action=f"ingest_token.{what}",
        target=ids.public(PREFIX, token.id),
    )
