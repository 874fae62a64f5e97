"""The list of an account's domains, and one of them, with their open alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, false, func, select
from sqlalchemy.orm import Session

from app import settings
from app.checks.engine.types import Severity, Usage
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Alert, Domain, DomainMail
from app.models.alerts import ACTIVE
from app.services.core import domain_lookup, profiles
from app.services.core.listing import Listing
from app.services.domain_status import domain_orders

COLUMNS = (
    Domain.id,
    Domain.name,
    Domain.usage,
    Domain.tags,
    Domain.dkim_selectors,
    Domain.schedule,
    Domain.verified_at,
    Domain.score,
    Domain.grade,
    Domain.score_version,
    Domain.last_scan_id,
    Domain.last_scan_status,
    Domain.last_scan_finished_at,
    Domain.created_at,
    Domain.updated_at,
)

STATES = ("alerts", "unscanned", "failed", "silent")  # open alerts; no scan; failed; no reports


@dataclass(frozen=True, slots=True)
class DomainFilter:
    """Filters and order of domains.

    profile, profile_result  the result of a compliance profile in the last scan
    policy                   the DMARC policy of the last scan
    state                    one of STATES
    sort                     a name of ``domain_orders``; with a minus, descending
    """

    q: str | None = None
    tag: str | None = None
    grade: str | None = None
    verified: bool | None = None
    usage: Usage | None = None
    profile: str | None = None
    profile_result: str | None = None
    policy: str | None = None
    state: str | None = None
    sort: str = "-createdAt"


class DomainDetail(NamedTuple):
    """A domain, and the number of its open or acknowledged alerts by severity, without zeros."""

    domain: Domain
    open_alerts: Mapping[str, int]


def find(account_id: UUID, ref: str) -> DomainDetail:
    """Return the account's domain with this id (``dom_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        counts = open_alerts(session, account_id, [domain.id])
        return DomainDetail(domain, counts.get(domain.id, {}))


def open_alerts(
    session: Session, account_id: UUID | None, domain_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[str, int]]:
    """Return the number of open or acknowledged alerts by domain and severity, without zeros.

    Runs in the caller's transaction.
    """
    if not domain_ids:
        return {}
    rows = session.execute(
        select(Alert.domain_id, Alert.severity, func.count())
        .where(
            Alert.account_id == account_id,
            Alert.domain_id.in_(domain_ids),
            Alert.status.in_(ACTIVE),
        )
        .group_by(Alert.domain_id, Alert.severity)
    ).all()
    counts: dict[UUID, dict[str, int]] = {}
    for domain_id, severity, count in sorted(rows, key=lambda row: Severity(row[1]).rank):
        if domain_id is not None:  # as the filter says
            counts.setdefault(domain_id, {})[severity] = count
    return counts


@dataclass(frozen=True)
class _CountedDomains(Listing):
    """A list of domains, each row with its open alerts by severity."""

    account_id: UUID | None = None

    def page(
        self, cursor_values: Sequence[Any] | None, limit: int, session: Session | None = None
    ) -> tuple[Sequence[Any], list[Any] | None]:
        """As that of Listing, in one snapshot."""
        with transaction(readonly=True, snapshot=True) as own:
            rows, following = super().page(cursor_values, limit, session or own)
            counts = open_alerts(own, self.account_id, [row.id for row in rows])
        return [(row, counts.get(row.id, {})) for row in rows], following


def listing(account_id: UUID, filters: DomainFilter, *, has_open_alerts: bool = False) -> Listing:
    """Return the list of the account's domains that match, in the order of ``sort``.

    returns  rows of COLUMNS; with ``has_open_alerts`` pairs of a row and the numbers of its open or
             acknowledged alerts by severity, most severe first, without zeros
    raises   InvalidRequest for an unknown profile, or a profile without a result and vice versa
    """
    plain = _listing(account_id, filters)
    if not has_open_alerts:
        return plain
    return _CountedDomains(plain.statement, plain.order, account_id=account_id)


def _listing(account_id: UUID, filters: DomainFilter) -> Listing:
    _check_profile(filters)
    is_verification_required = settings.current().domain_verification != "off"
    return _listed(account_id, filters, is_verification_required)


@lru_cache(maxsize=512)
def _listed(account_id: UUID, filters: DomainFilter, is_verification_required: bool) -> Listing:
    selected: Any = select(*COLUMNS)
    statement = filtered(selected, account_id, filters, is_verification_required)
    return Listing(statement, domain_orders.order(filters.sort))


def filtered(
    statement: Select[Any], account_id: UUID, filters: DomainFilter, is_verification_required: bool
) -> Select[Any]:
    """Return the statement, limited to the account's domains that match.

    The statement selects from ``Domain``.
    """
    statement = statement.where(Domain.account_id == account_id)
    statement = _with_state(statement, account_id, filters.state)
    return _filtered(statement, filters, is_verification_required)


def _with_state(statement: Select[Any], account_id: UUID, state: str | None) -> Select[Any]:
    if state == "alerts":
        active = Alert.account_id == account_id, Alert.status.in_(ACTIVE)
        statement = statement.where(Domain.id.in_(select(Alert.domain_id).where(*active)))
    elif state == "unscanned":
        statement = statement.where(Domain.last_scan_id.is_(None))
    elif state == "failed":
        statement = statement.where(Domain.last_scan_status == "failed")
    elif state == "silent":
        with_mail = select(DomainMail.domain_id).where(
            DomainMail.account_id == account_id, DomainMail.messages > 0
        )
        statement = statement.where(Domain.id.not_in(with_mail))
    return statement


def _filtered(
    statement: Select[Any], filters: DomainFilter, is_verification_required: bool
) -> Select[Any]:
    if filters.q:
        statement = statement.where(Domain.name.contains(filters.q.lower(), autoescape=True))
    if filters.tag:
        statement = domain_lookup.with_tag(statement, filters.tag)
    equals = (
        (Domain.grade, filters.grade),
        (Domain.dmarc_policy, filters.policy),
        (Domain.usage, filters.usage and filters.usage.value),
    )
    for column, value in equals:
        if value:
            statement = statement.where(column == value)
    if filters.profile and filters.profile_result:
        statement = domain_lookup.with_profile_result(
            statement, filters.profile, filters.profile_result
        )
    if filters.verified is not None and is_verification_required:
        is_verified = Domain.verified_at.is_not(None)
        statement = statement.where(is_verified if filters.verified else ~is_verified)
    elif filters.verified is False:
        statement = statement.where(false())  # all count as verified
    return statement


def _check_profile(filters: DomainFilter) -> None:
    if (filters.profile is None) is not (filters.profile_result is None):
        name = "profileResult" if filters.profile_result is None else "profile"
        raise InvalidRequest.field(name, "profile and profileResult are required together")
    if filters.profile and filters.profile not in {item.id for item in profiles.available()}:
        raise InvalidRequest.field("profile", "unknown profile; see GET /v1/profiles")
