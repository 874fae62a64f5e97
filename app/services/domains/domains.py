"""The monitored domains of accounts: create, change, hold and delete them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.checks.engine.types import Usage
from app.db import transactions
from app.db.transactions import transaction
from app.errors import ApplicationError, Conflict, InvalidRequest, PreconditionFailed
from app.models import Alert, Domain
from app.models.alerts import LIVE
from app.protocols import names
from app.protocols.names import DomainName
from app.services.alerts import transitions
from app.services.alerts.transitions import Transition
from app.services.audit import audit_log
from app.services.core import domain_lookup
from app.services.domains import erasure
from app.services.filing import retries

MAX_HOLD_REASON = 300


@dataclass(frozen=True, slots=True)
class NewDomain:
    """A domain to create; ``name`` is as entered by the user."""

    name: str
    usage: Usage = Usage.BOTH
    tags: Sequence[str] = ()
    dkim_selectors: Sequence[str] = ()
    schedule: str = "daily"


@dataclass(frozen=True, slots=True)
class Added:
    """The result for one domain of a bulk creation: either ``id`` or ``error``."""

    name: str
    id: UUID | None = None
    error: ApplicationError | None = None


@dataclass(frozen=True, slots=True)
class AddedDomains:
    """The results of a bulk creation, in the order of the request."""

    results: Sequence[Added]

    @property
    def created(self) -> Sequence[str]:
        """The names of the new domains."""
        return [result.name for result in self.results if result.id is not None]

    @property
    def created_count(self) -> int:
        """The number of new domains."""
        return len(self.created)

    @property
    def rejected_count(self) -> int:
        """The number of domains that were not created."""
        return len(self.results) - self.created_count


def create(account_id: UUID, new: NewDomain, *, actor: str) -> Domain:
    """Create a domain and return it.

    raises  InvalidRequest for an invalid name, or above the account's maximum number of domains;
            Conflict (``existingId``) if the domain is already in the account
    """
    name = _parsed(new.name)
    try:
        with transaction() as session:
            _check_room(session, account_id, 1)
            return _add(session, account_id, name, new, actor)
    except IntegrityError:  # a concurrent request added it
        raise _conflict(domain_lookup.find(account_id, name)) from None


def create_many(account_id: UUID, new_domains: Sequence[NewDomain], *, actor: str) -> AddedDomains:
    """Create domains and return the results; an invalid name does not stop the rest."""
    with transaction() as session:
        if session.get_bind().dialect.name == "postgresql":
            _lock_account(session, account_id)
        return AddedDomains([_create(session, account_id, new, actor) for new in new_domains])


def update(
    account_id: UUID,
    ref: str,
    changes: Mapping[str, Any],
    *,
    actor: str,
    expected: datetime | None = None,
) -> Domain:
    """Change a domain and return it.

    changes   any of usage, tags, dkim_selectors, schedule
    expected  the ``updated_at`` that the caller has read
    raises    NotFound; PreconditionFailed if the domain has changed since
    """
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        if expected is not None and domain.updated_at != expected:
            raise PreconditionFailed(
                "The domain has changed since you read it (ETag mismatch). Fetch it again and retry"
            )
        before = {name: getattr(domain, name) for name in changes}
        for name, value in changes.items():
            setattr(domain, name, value)
        domain.updated_at = transactions.now(session)
        if changes.get("schedule", before.get("schedule")) != before.get("schedule"):
            domain.reschedule(domain.updated_at)
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="domain.changed",
            target=domain.name,
            before=before,
            after=dict(changes),
        )
        return domain


def delete(account_id: UUID, ref: str, *, actor: str) -> None:
    """Delete the domain and everything about it: scans, alerts, history, reports and files.

    raises   NotFound; Conflict for a domain on legal hold
    effects  deletes the history first, in batches. The audit log keeps an entry of the domain; the
             events that resolve its alerts stay until all clients had time to read them
    """
    erasure.delete_history(domain_lookup.find(account_id, ref))
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        erasure.check_hold(session, domain.id)
        live = session.scalars(
            select(Alert)
            .where(Alert.domain_id == domain.id, Alert.status.in_(LIVE))
            .order_by(Alert.id)
            .with_for_update()
        )
        resolution = Transition("resolved", actor, "the domain was deleted")
        for alert in live.all():  # clients of the event feed must not keep them as open
            transitions.transition(session, alert, resolution, transactions.now(session))
        erasure.leave_channels(session, domain)
        session.flush()  # before the cascade of the domain deletes the rows
        session.delete(domain)
        audit_log.record(
            session, account_id, actor=actor, action="domain.deleted", target=domain.name
        )


def hold(account_id: UUID, ref: str, reason: str, *, actor: str) -> Domain:
    """Put the domain on legal hold: its data is not deleted until the hold is released.

    raises  NotFound; InvalidRequest without a reason
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_HOLD_REASON:
        message = f"Enter a reason of 1 to {MAX_HOLD_REASON} characters"
        raise InvalidRequest.field("reason", message, "length")
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        domain.legal_hold_at = domain.legal_hold_at or transactions.now(session)
        domain.legal_hold_reason, domain.updated_at = reason, transactions.now(session)
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="domain.hold_placed",
            target=domain.name,
            reason=reason,
        )
        return domain


def release_hold(account_id: UUID, ref: str, *, actor: str) -> Domain:
    """Release the legal hold, so that people and retention can delete data again.

    raises  NotFound
    """
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        if domain.legal_hold_at is not None:
            domain.legal_hold_at, domain.legal_hold_reason = None, None
            domain.updated_at = transactions.now(session)
            audit_log.record(
                session, account_id, actor=actor, action="domain.hold_released", target=domain.name
            )
        return domain


def _parsed(text: str) -> DomainName:
    allow = settings.current().allow_special_use_names
    try:
        return names.parse(text, allow_special_use=allow)
    except names.NotADomain as error:
        raise InvalidRequest.field("name", error.reason, error.code) from None


def _create(session: Session, account_id: UUID, new: NewDomain, actor: str) -> Added:
    try:
        name = _parsed(new.name)
        _check_room(session, account_id, 1)
        return Added(name, _add(session, account_id, name, new, actor).id)
    except ApplicationError as error:
        return Added(new.name, error=error)


def _add(
    session: Session, account_id: UUID, name: DomainName, new: NewDomain, actor: str
) -> Domain:
    existing = session.scalar(
        select(Domain).where(Domain.account_id == account_id, Domain.name == name)
    )
    if existing is not None:
        raise _conflict(existing)
    now = transactions.now(session)
    domain = Domain(
        id=ids.new(),
        account_id=account_id,
        name=name,
        usage=new.usage.value,
        tags=list(dict.fromkeys(new.tags)),
        dkim_selectors=list(dict.fromkeys(new.dkim_selectors)),
        schedule=new.schedule,
        created_at=now,
        updated_at=now,
    )
    domain.reschedule(now)
    session.add(domain)
    audit_log.record(session, account_id, actor=actor, action="domain.added", target=name)
    session.flush()  # so that the next domain of a bulk creation sees it
    if settings.current().domain_verification == "off":
        retries.retry_for_domain(session, account_id, name)
    return domain


def _check_room(session: Session, account_id: UUID, additional: int) -> None:
    limit = settings.current().max_domains
    count = session.scalar(
        select(func.count()).select_from(Domain).where(Domain.account_id == account_id)
    )
    if (count or 0) + additional > limit:
        raise InvalidRequest.field(
            "name", f"the account has reached its maximum of {limit} domains", "too_many_domains"
        )


def _lock_account(session: Session, account_id: UUID) -> None:
    """Run one batch of an account at a time, so that none fails on a name that another adds."""
    session.execute(select(func.pg_advisory_xact_lock(account_id.int & 0x7FFF_FFFF_FFFF_FFFF)))


def _conflict(existing: Domain) -> Conflict:
    return Conflict(
        f"{existing.name} is already in this account", existingId=ids.public("dom", existing.id)
    )
