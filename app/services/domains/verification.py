"""Verification of domain ownership by a TXT record that only the owner can publish.

The value of the record depends on account and domain, so a copied record proves nothing.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app import settings
from app.db.transactions import now, transaction
from app.errors import Conflict, ServiceUnavailable
from app.models import Domain
from app.ports.dns import LookupFailed
from app.ports.network import Network
from app.protocols import timestamps
from app.services.audit import audit_log
from app.services.core import domain_lookup
from app.services.domains import verification_recheck
from app.services.filing import retries


class Challenge(NamedTuple):
    """The record to publish; its type is TXT."""

    name: str
    value: str


def challenge(account_id: UUID, domain: str) -> Challenge:
    """Return the record by which the account proves that it controls the domain."""
    return _challenge(settings.current().secret_key, account_id, domain)


@lru_cache(maxsize=16_384)  # because every list of domains shows them
def _challenge(secret: str, account_id: UUID, domain: str) -> Challenge:
    value = verification_recheck.value(secret, account_id, domain)
    return Challenge(verification_recheck.record_name(domain), value)


def as_json(account_id: UUID, name: str, verified_at: datetime | None) -> dict[str, Any]:
    """Return the state of the verification of a domain, with the field names of the API."""
    record = challenge(account_id, name)
    is_required = settings.current().domain_verification == "required"
    return {
        "status": "verified" if is_verified(verified_at) else "pending",
        "method": "dns" if is_required else "off",
        "record": {"name": record.name, "type": "TXT", "value": record.value},
        "verifiedAt": timestamps.text(verified_at) if verified_at else None,
    }


def verify(account_id: UUID, ref: str, network: Network, *, actor: str) -> Domain:
    """Look up the record now, and return the domain.

    raises   NotFound; ServiceUnavailable if the lookup fails; Conflict if another account has
             verified the domain
    effects  the domain is verified if the record is found. A verified domain without the record
             stays verified: only the weekly recheck revokes the verification
    """
    domain = domain_lookup.find(account_id, ref)
    name = domain.name
    expected = set(verification_recheck.values(account_id, name))
    try:
        published = network.run(
            lambda new_session: verification_recheck.look_up(new_session(), name)
        )
    except LookupFailed as error:
        raise ServiceUnavailable(
            f"The DNS lookup of the verification record failed: {error}"
        ) from None
    if not expected & set(published):
        return domain
    try:
        with transaction() as session:
            domain = domain_lookup.owned(session, account_id, ref, lock=True)
            if domain.verified_at is None:
                domain.verified_at = domain.updated_at = now(session)
                audit_log.record(
                    session, account_id, actor=actor, action="domain.verified", target=name
                )
                retries.retry_for_domain(session, account_id, name)
            verification_recheck.confirm(session, domain)
            return domain
    except IntegrityError:
        raise Conflict(f"{name} is verified by another account") from None


def is_verified(domain_verified_at: object) -> bool:
    """Return whether the domain counts as verified, as all do if verification is off."""
    return domain_verified_at is not None or settings.current().domain_verification == "off"
