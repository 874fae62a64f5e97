"""Who controls a domain: proved by a TXT record that only its owner can publish.

The record's value depends on account and domain, so that one copied from elsewhere proves nothing.
"""

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app import settings
from app.db.transactions import now, transaction
from app.errors import Conflict, ServiceUnavailable
from app.models import Domain
from app.ports.dns import LookupFailed
from app.ports.network import Network
from app.services.core import audit_log, domain_lookup
from app.services.domains import verification_recheck
from app.services.ingest import files


class Challenge(NamedTuple):
    """The record to publish; its type is TXT."""

    name: str
    value: str


def challenge(account_id: UUID, domain: str) -> Challenge:
    """The record by which the account proves that it controls the domain."""
    return _challenge(settings.current().secret_key, account_id, domain)


@lru_cache(maxsize=16_384)  # every list of domains shows them
def _challenge(secret: str, account_id: UUID, domain: str) -> Challenge:
    value = verification_recheck.value(secret, account_id, domain)
    return Challenge(verification_recheck.record_name(domain), value)


def verify(account_id: UUID, ref: str, door: Network, *, actor: str) -> Domain:
    """The domain, after its record was looked for just now.

    raises   NotFound; ServiceUnavailable if DNS does not say; Conflict if another account has
             proved control of it
    effects  the domain is verified if the record is there; one that was stays so if it is not:
             only the weekly look takes it back
    """
    domain = domain_lookup.find(account_id, ref)
    name = domain.name
    wanted = set(verification_recheck.values(account_id, name))
    try:
        texts = door.run(lambda open_answers: verification_recheck.look_up(open_answers(), name))
    except LookupFailed as error:
        raise ServiceUnavailable(f"DNS does not say: {error}") from None
    if not wanted & set(texts):
        return domain
    try:
        with transaction() as session:
            domain = domain_lookup.owned(session, account_id, ref, lock=True)
            if domain.verified_at is None:
                domain.verified_at = domain.updated_at = now(session)
                audit_log.record(
                    session, account_id, actor=actor, action="domain.verified", target=name
                )
                files.retry_for_domain(session, account_id, name)
            verification_recheck.seen(session, domain)
            return domain
    except IntegrityError:
        raise Conflict(f"{name} is verified by another account") from None


def is_verified(domain_verified_at: object) -> bool:
    """Whether it counts as verified: proved, or the service asks for no proof."""
    return domain_verified_at is not None or settings.current().domain_verification == "off"
