"""The last check results of a domain, and its DNS change history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.analysis.scan import fix_formats
from app.analysis.scan.fix_formats import FormattedFix
from app.db.transactions import transaction
from app.models import DnsChange, Domain, DomainState
from app.services.core import domain_lookup, listing
from app.services.core.listing import Listing

COLUMNS = (
    DnsChange.id,
    DnsChange.at,
    DnsChange.check,
    DnsChange.name,
    DnsChange.type,
    DnsChange.before,
    DnsChange.after,
    DnsChange.findings_appeared,
    DnsChange.findings_resolved,
    DnsChange.scan_id,
)


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Filters for DNS changes; the times bound ``at``."""

    check: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def status(account_id: UUID, ref: str) -> tuple[Domain, DomainState | None]:
    """Return the domain and its state; the state is None before the first scan.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return domain, session.get(DomainState, domain.id)


def fixes(account_id: UUID, ref: str) -> Sequence[FormattedFix]:
    """Return the fixes in the domain's last results, in the formats of DNS tools.

    raises  NotFound
    """
    domain, state = status(account_id, ref)
    return fix_formats.of_results(domain.name, state.last_results if state else {})


def history(
    account_id: UUID,
    ref: str,
    filters: ChangeFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
) -> tuple[Sequence[Any], list[Any] | None]:
    """Return rows of COLUMNS, newest first, and the cursor values of the next page, if any.

    raises  NotFound
    """
    domain = domain_lookup.find(account_id, ref)
    statement: Any = select(*COLUMNS).where(DnsChange.domain_id == domain.id)
    equals = ((DnsChange.check, filters.check),)
    statement = listing.apply_filters(statement, equals, DnsChange.at, filters)
    return Listing(statement, (DnsChange.id.desc(),)).page(cursor_values, limit)
