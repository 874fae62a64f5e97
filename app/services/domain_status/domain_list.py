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
from app.models import Alert, Domain
from app.services.core import domain_lookup, profiles
from app.services.core.listing import Listing

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


@dataclass(frozen=True, slots=True)
class DomainFilter:
    """Filters and order of domains; ``sort`` is ``-createdAt``, ``name`` or ``-score``.

    profile, profile_result  the result of a compliance profile in the last scan
    """

    q: str | None = None
    tag: str | None = None
    grade: str | None = None
    verified: bool | None = None
    usage: Usage | None = None
    profile: str | None = None
    profile_result: str | None = None
    sort: str = "-createdAt"


class DomainRows(NamedTuple):
    """A page of the list of domains.

    rows           rows of COLUMNS
    cursor_values  those of the next page, if any
    open_alerts    by domain: the number of open or acknowledged alerts by severity, most severe
                   first, without zeros; None if they were not requested
    """

    rows: Sequence[Any]
    cursor_values: list[Any] | None
    open_alerts: Mapping[UUID, Mapping[str, int]] | None


class DomainDetail(NamedTuple):
    """A domain, and the number of its open or acknowledged alerts by severity, without zeros."""

    domain: Domain
    open_alerts: Mapping[str, int]


_SORTS: Mapping[str, tuple[Any, ...]] = {
    "-createdAt": (Domain.id.desc(),),
    "name": (Domain.name,),
    "-score": (func.coalesce(Domain.score, -1).desc(), Domain.id.desc()),
}


def search(
    account_id: UUID,
    filters: DomainFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
    has_open_alerts: bool = False,
) -> DomainRows:
    """Return a page of the account's domains in the order of ``sort``.

    has_open_alerts  also count the open alerts, in the same snapshot
    raises           InvalidRequest for an unknown profile, or a profile without a result and vice
                     versa
    """
    if has_open_alerts:
        with transaction(readonly=True, snapshot=True) as session:
            return read(session, account_id, filters, cursor_values, limit)
    return DomainRows(*_listing(account_id, filters).page(cursor_values, limit), None)


def read(
    session: Session,
    account_id: UUID,
    filters: DomainFilter,
    cursor_values: Sequence[Any] | None,
    limit: int,
) -> DomainRows:
    """As ``search`` with open alerts, in the caller's transaction."""
    rows, following = _listing(account_id, filters).page(cursor_values, limit, session)
    return DomainRows(rows, following, _open_alerts(session, account_id, [row.id for row in rows]))


def find(account_id: UUID, ref: str) -> DomainDetail:
    """Return the account's domain with this id (``dom_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        counts = _open_alerts(session, account_id, [domain.id])
        return DomainDetail(domain, counts.get(domain.id, {}))


def _open_alerts(
    session: Session, account_id: UUID, domain_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[str, int]]:
    if not domain_ids:
        return {}
    rows = session.execute(
        select(Alert.domain_id, Alert.severity, func.count())
        .where(
            Alert.account_id == account_id,
            Alert.domain_id.in_(domain_ids),
            Alert.status.in_(("open", "acknowledged")),
        )
        .group_by(Alert.domain_id, Alert.severity)
    ).all()
    counts: dict[UUID, dict[str, int]] = {}
    for domain_id, severity, count in sorted(rows, key=lambda row: Severity(row[1]).rank):
        if domain_id is not None:  # as the filter says
            counts.setdefault(domain_id, {})[severity] = count
    return counts


def _listing(account_id: UUID, filters: DomainFilter) -> Listing:
    _check_profile(filters)
    is_verification_required = settings.current().domain_verification != "off"
    return _listed(account_id, filters, is_verification_required)


@lru_cache(maxsize=512)
def _listed(account_id: UUID, filters: DomainFilter, is_verification_required: bool) -> Listing:
    statement: Any = select(*COLUMNS).where(Domain.account_id == account_id)
    return Listing(_filtered(statement, filters, is_verification_required), _SORTS[filters.sort])


def _filtered(
    statement: Select[Any], filters: DomainFilter, is_verification_required: bool
) -> Select[Any]:
    if filters.q:
        statement = statement.where(Domain.name.contains(filters.q.lower(), autoescape=True))
    if filters.tag:
        statement = domain_lookup.with_tag(statement, filters.tag)
    if filters.grade:
        statement = statement.where(Domain.grade == filters.grade)
    if filters.usage:
        statement = statement.where(Domain.usage == filters.usage.value)
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
