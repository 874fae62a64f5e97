"""The DKIM keys of each domain at its last scan, to detect keys that several domains share."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.orm import Session

from app.checks.engine.stored_results import StoredLastResult
from app.db import bulk
from app.models import DkimKey, Domain

MAX_NAMED = 12  # domains per key, because thousands of domains may share the key of a service


def of(last_results: Mapping[str, StoredLastResult]) -> frozenset[str]:
    """Return the digests of the keys in the last results of a domain."""
    dkim = last_results.get("dkim")
    selectors = dkim["facts"].get("selectors") if dkim else None
    if not isinstance(selectors, Mapping):
        return frozenset()
    digests = (
        facts.get("key_sha256") for facts in selectors.values() if isinstance(facts, Mapping)
    )
    return frozenset(
        digest for digest in digests if isinstance(digest, str) and len(digest) == DkimKey.SIZE
    )


def replace(session: Session, keys: Iterable[tuple[UUID, UUID, frozenset[str]]]) -> None:
    """Replace the stored keys of domains, in the caller's transaction.

    keys  the account, the domain and the digests of its keys
    """
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
    """Return the other domains of the account with the same key, by domain and digest.

    It runs in the caller's transaction.

    returns  at most MAX_NAMED domains per key, and none for keys that no other domain has
    """
    own = select(DkimKey.domain_id, DkimKey.account_id, DkimKey.key_sha256).where(
        bulk.is_any(session, DkimKey.domain_id, domain_ids)
    )
    holders = _holders(session, own)
    shared: dict[UUID, dict[str, tuple[str, ...]]] = {}
    for domain_id, account_id, digest in session.execute(own):
        names = holders[account_id, digest]
        if others := tuple(sorted(name for id, name in names.items() if id != domain_id)):
            shared.setdefault(domain_id, {})[digest] = others
    return shared


def _holders(
    session: Session, own: Select[UUID, UUID, str]
) -> Mapping[tuple[UUID, str], Mapping[UUID, str]]:
    """The ids and names of the first domains with each of these keys, by account and digest."""
    own_rows = own.subquery()
    own_keys = select(own_rows.c.account_id, own_rows.c.key_sha256).distinct().subquery()
    position = func.row_number().over(
        partition_by=(DkimKey.account_id, DkimKey.key_sha256), order_by=DkimKey.domain_id
    )
    first = (
        select(
            DkimKey.account_id,
            DkimKey.key_sha256,
            Domain.id,
            Domain.name,
            position.label("position"),
        )
        .join(
            own_keys,
            (own_keys.c.account_id == DkimKey.account_id)
            & (own_keys.c.key_sha256 == DkimKey.key_sha256),
        )
        .join(Domain, Domain.id == DkimKey.domain_id)
        .subquery()
    )
    holders: dict[tuple[UUID, str], dict[UUID, str]] = {}
    for row in session.execute(select(first).where(first.c.position <= MAX_NAMED)):
        holders.setdefault((row.account_id, row.key_sha256), {})[row.id] = row.name
    return holders
