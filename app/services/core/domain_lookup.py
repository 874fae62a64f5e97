"""Finding one of an account's domains by id or name."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, select, type_coerce
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import Domain
from app.protocols import names
from app.protocols.names import DomainName


def find(account_id: UUID, ref: str) -> Domain:
    """The account's domain of this id (``dom_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return owned(session, account_id, ref)


def owned(session: Session, account_id: UUID, ref: str, *, lock: bool = False) -> Domain:
    """As ``find``, as a step; ``lock`` keeps others from changing it until the commit."""
    key = key_of(ref)
    wanted = Domain.id == key if isinstance(key, UUID) else Domain.name == key
    statement = select(Domain).where(Domain.account_id == account_id, wanted)
    domain = session.scalar(statement.with_for_update() if lock else statement)
    if domain is None:
        raise NotFound
    return domain


def key_of(ref: str) -> UUID | DomainName | None:
    """What a path or a body means by ``ref``: an id, a name, or nothing that can be a domain's."""
    try:
        return ids.parse("dom", ref) or names.parse(ref, allow_special_use=True)
    except names.NotADomain:
        return None


def with_tag(statement: Select[Any], tag: str) -> Select[Any]:
    """Only domains that have the tag."""
    return statement.where(type_coerce(Domain.tags, Text).contains(f",{tag},", autoescape=True))
