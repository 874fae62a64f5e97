"""Links that show the checks of one domain, or one check, without signing in, until they expire.

The token is in the link only; the table has its digest. A link that expired, was revoked or never
existed, and one of an account that is not active, are all not found.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app import ids
from app.checks import CHECKS
from app.checks.engine.stored_results import StoredLastResult
from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, Domain, DomainState, ShareLink
from app.services.audit import audit_log
from app.services.core import domain_lookup

DAYS = (1, 7, 30)
MAX_LINKS = 50  # of a domain that are valid
_TOKEN_BYTES = 24
_MAX_TOKEN = 100  # characters that are hashed


@dataclass(frozen=True, slots=True)
class SharedChecks:
    """What a link shows.

    results       the last definite results, in the order of the checks
    undetermined  the checks that could not be determined in the last scan
    """

    domain: str
    results: Sequence[StoredLastResult]
    undetermined: Sequence[str]
    expires_at: datetime


def create(
    account_id: UUID, ref: str, days: int, check: str | None, *, actor: str
) -> tuple[ShareLink, str]:
    """Create a link to the checks of the domain, and return it with its token, shown only once.

    check   the only check to show; None: all
    raises  NotFound; InvalidRequest for another number of days or an unknown check, or if the
            domain has MAX_LINKS valid links
    """
    if days not in DAYS:
        raise InvalidRequest.field("days", "choose 1, 7 or 30 days")
    if check is not None and check not in {item.name for item in CHECKS}:
        raise InvalidRequest.field("check", "choose one of the checks")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        at = now(session)
        valid = select(func.count()).where(ShareLink.domain_id == domain.id, is_valid(at))
        if (session.scalar(valid) or 0) >= MAX_LINKS:
            message = f"a domain can have at most {MAX_LINKS} links; revoke one of them"
            raise InvalidRequest.field("days", message)
        link = ShareLink(
            id=ids.new(),
            account_id=account_id,
            domain_id=domain.id,
            digest=_digest(token),
            check=check,
            created_by=actor,
            created_at=at,
            expires_at=at + timedelta(days=days),
        )
        session.add(link)
        _record(session, link, domain.name, actor, "created")
        return link, token


def valid_of(session: Session, domain_id: UUID) -> Sequence[ShareLink]:
    """Return the valid links of the domain, newest first; runs in the caller's transaction."""
    return session.scalars(
        select(ShareLink)
        .where(ShareLink.domain_id == domain_id, is_valid(now(session)))
        .order_by(ShareLink.id.desc())
    ).all()


def revoke(account_id: UUID, ref: str, link_id: str, *, actor: str) -> None:
    """Revoke a link of the domain; it does not open anymore.

    raises  NotFound
    """
    _set_revoked(account_id, ref, link_id, actor=actor, is_revoked=True)


def restore(account_id: UUID, ref: str, link_id: str, *, actor: str) -> None:
    """Let a revoked link open again until it expires.

    raises  NotFound
    """
    _set_revoked(account_id, ref, link_id, actor=actor, is_revoked=False)


def open_shared(token: str) -> SharedChecks:
    """Return what the link with this token shows.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        row = session.execute(
            select(ShareLink, Domain.name)
            .join(Domain, Domain.id == ShareLink.domain_id)
            .join(Account, Account.id == ShareLink.account_id)
            .where(ShareLink.digest == _digest(token[:_MAX_TOKEN]), is_valid(now(session)))
            .where(Account.status == "active")
        ).first()
        if row is None:
            raise NotFound
        link, name = row
        state = session.get(DomainState, link.domain_id)
    names = [item.name for item in CHECKS if link.check in (None, item.name)]
    last_results = state.last_results if state else {}
    undetermined = state.undetermined if state else {}
    return SharedChecks(
        domain=name,
        results=[last_results[check] for check in names if check in last_results],
        undetermined=[check for check in names if check in undetermined],
        expires_at=link.expires_at,
    )


def _set_revoked(account_id: UUID, ref: str, link_id: str, *, actor: str, is_revoked: bool) -> None:
    id = ids.parse("share", link_id)
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref)
        link = session.scalar(
            select(ShareLink)
            .where(ShareLink.id == id, ShareLink.domain_id == domain.id)
            .with_for_update()
        )
        if link is None:
            raise NotFound
        if (link.revoked_at is not None) != is_revoked:
            link.revoked_at = now(session) if is_revoked else None
            _record(session, link, domain.name, actor, "revoked" if is_revoked else "restored")


def is_valid(at: datetime) -> ColumnElement[bool]:
    """Return the condition that a link shows its page at this time."""
    return ShareLink.revoked_at.is_(None) & (ShareLink.expires_at > at)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _record(session: Session, link: ShareLink, domain: str, actor: str, act: str) -> None:
    audit_log.record(
        session,
        link.account_id,
        actor=actor,
        action=f"share_link.{act}",
        target=ids.public("share", link.id),
        domain=domain,
        ends=link.expires_at.isoformat(),
    )
