"""Finding one of an account's domains by id or name."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, select, type_coerce
from sqlalchemy.orm import Session

from app import ids, settings
from app.analysis.scan import profile_history
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import Domain
from app.protocols import names
from app.protocols.names import DomainName


def find(account_id: UUID, ref: str) -> Domain:
    """The account's domain with this id (``dom_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return owned(session, account_id, ref)


def owned(session: Session, account_id: UUID, ref: str, *, lock: bool = False) -> Domain:
    """As ``find``, in the caller's transaction; ``lock`` locks the row until the commit."""
    statement = select(Domain).where(*matching(account_id, ref))
    domain = session.scalar(statement.with_for_update() if lock else statement)
    if domain is None:
        raise NotFound.of("dom", ref)
    return domain


def matching(account_id: UUID, ref: str) -> Sequence[ColumnElement[bool]]:
    """Return the conditions for the account's domain with this id or name."""
    key = key_of(ref)
    matches = Domain.id == key if isinstance(key, UUID) else Domain.name == key
    return Domain.account_id == account_id, matches


def key_of(ref: str) -> UUID | DomainName | None:
    """The domain id or name in ``ref``, or None if it is neither."""
    try:
        return ids.parse("dom", ref) or names.parse(ref, allow_special_use=True)
    except names.NotADomain:
        return None


def counts_as_verified() -> Sequence[ColumnElement[bool]]:
    """Return the conditions for domains that count as verified; all do if verification is off."""
    if settings.current().domain_verification == "off":
        return ()
    return (Domain.verified_at.is_not(None),)


def with_tag(statement: Select[Any], tag: str) -> Select[Any]:
    """The statement, limited to domains with the tag."""
    return statement.where(type_coerce(Domain.tags, Text).contains(f",{tag},", autoescape=True))


def with_profile_result(statement: Select[Any], profile_id: str, status: str) -> Select[Any]:
    """The statement, limited to domains whose last scan had this result of the profile."""
    word = profile_history.word(profile_id, status)
    words = type_coerce(Domain.profile_results, Text)
    return statement.where(words.contains(f",{word},", autoescape=True))
