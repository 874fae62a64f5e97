"""Who controls a domain: proved by a TXT record that only its owner can publish.

The record's value depends on account and domain, so that one copied from elsewhere proves nothing.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app import settings
from app.checks.answers import Answers, Door, OpenAnswers, Undetermined
from app.db import now, transaction
from app.errors import Conflict, ServiceUnavailable
from app.models import Domain
from app.services import audit, domains, intakes

_LABEL = "_mp-challenge"
_PREFIX = "mp-verify="


@dataclass(frozen=True, slots=True)
class Challenge:
    """The record to publish; its type is TXT."""

    name: str
    value: str


def challenge(account_id: UUID, domain: str) -> Challenge:
    """The record by which the account proves that it controls the domain."""
    return Challenge(f"{_LABEL}.{domain}", _values(account_id, domain)[0])


def verify(account_id: UUID, ref: str, door: Door, *, actor: str) -> Domain:
    """The domain, after its record was looked for just now.

    raises   NotFound; ServiceUnavailable if DNS does not say; Conflict if another account has
             proved control of it
    effects  the domain is verified if the record is there; one that was stays so if it is not:
             only the weekly look takes it back
    """
    domain = domains.find(account_id, ref)
    name = domain.name
    wanted = set(_values(account_id, name))
    try:
        texts = door.run(lambda open_answers: _texts(open_answers, name))
    except Undetermined as error:
        raise ServiceUnavailable(f"DNS does not say: {error}") from None
    if not wanted & set(texts):
        return domain
    try:
        with transaction() as session:
            domain = domains.owned(session, account_id, ref, lock=True)
            if domain.verified_at is None:
                domain.verified_at = domain.updated_at = now(session)
                audit.record(
                    session, account_id, actor=actor, action="domain.verified", target=name
                )
                intakes.retry_about(session, account_id, name)
            return domain
    except IntegrityError:
        raise Conflict(f"{name} is verified by another account") from None


def is_verified(domain_verified_at: object) -> bool:
    """Whether it counts as verified: proved, or the service asks for no proof."""
    return domain_verified_at is not None or settings.current().domain_verification == "off"


async def _texts(open_answers: OpenAnswers, domain: str) -> tuple[str, ...]:
    dns: Answers = open_answers()
    return await dns.txt(f"{_LABEL}.{domain}")


def _values(account_id: UUID, domain: str) -> list[str]:
    """What the record may say, under the secret of today and the previous ones."""
    current = settings.current()
    found = []
    for secret in (current.secret_key, *current.secret_key_previous):
        key = hashlib.sha256(f"verification:{secret}".encode()).digest()
        digest = hmac.digest(key, f"{account_id}|{domain}".encode(), "sha256")
        found.append(_PREFIX + base64.b32encode(digest[:20]).decode().lower())
    return found
