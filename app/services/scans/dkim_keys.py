"""Which domains of an account have the same DKIM key: each domain's keys, as last seen."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.models import DkimKey, Domain

MAX_NAMED = 12  # domains of one key that are looked up: a service's key may be that of thousands


def of(known: Mapping[str, Any]) -> frozenset[str]:
    """The digests of the keys in what is known of a domain, by check."""
    selectors = known.get("dkim", {}).get("facts", {}).get("selectors", {})
    found = (facts.get("key_sha256") for facts in selectors.values())
    return frozenset(digest for digest in found if digest and len(digest) == DkimKey.SIZE)


def note(session: Session, keys: Iterable[tuple[UUID, UUID, frozenset[str]]]) -> None:
    """Have these be the keys of domains: (account, domain, digests); a step."""
    keys = list(keys)
    domain_ids = [domain_id for _, domain_id, _ in keys]
    session.execute(delete(DkimKey).where(DkimKey.domain_id.in_(domain_ids)))
    rows = [
        {"domain_id": domain_id, "account_id": account_id, "key_sha256": digest}
        for account_id, domain_id, digests in keys
        for digest in sorted(digests)
    ]
    if rows:
        session.execute(insert(DkimKey), rows)


def shared(
    session: Session, domain_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[str, tuple[str, ...]]]:
    """By domain and digest, other domains of the same account with the same key; a step.

    returns  some of them, if they are many; nothing for keys that no other domain has
    """
    own = select(DkimKey.domain_id, DkimKey.account_id, DkimKey.key_sha256).where(
        DkimKey.domain_id.in_(domain_ids)
    )
    mine = own.subquery()
    wanted = select(mine.c.account_id, mine.c.key_sha256).distinct().subquery()
    place = func.row_number().over(
        partition_by=(DkimKey.account_id, DkimKey.key_sha256), order_by=DkimKey.domain_id
    )
    first = (
        select(DkimKey.account_id, DkimKey.key_sha256, Domain.id, Domain.name, place.label("place"))
        .join(
            wanted,
            (wanted.c.account_id == DkimKey.account_id)
            & (wanted.c.key_sha256 == DkimKey.key_sha256),
        )
        .join(Domain, Domain.id == DkimKey.domain_id)
        .subquery()
    )
    holders: dict[tuple[UUID, str], dict[UUID, str]] = {}
    for row in session.execute(select(first).where(first.c.place <= MAX_NAMED)):
        holders.setdefault((row.account_id, row.key_sha256), {})[row.id] = row.name
    found: dict[UUID, dict[str, tuple[str, ...]]] = {}
    for domain_id, account_id, digest in session.execute(own):
        with_key = holders[account_id, digest]
        if others := tuple(sorted(name for id, name in with_key.items() if id != domain_id)):
            found.setdefault(domain_id, {})[digest] = others
    return found
