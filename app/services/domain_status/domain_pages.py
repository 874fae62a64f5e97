"""The pages about domains in the dashboard: the list, and the results and history of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app import settings
from app.analysis.scan import fix_formats
from app.catalog.profiles.types import Profile
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.models import DnsChange, Domain, DomainState, SavedView, Scan, ShareLink
from app.models.scans import UNFINISHED
from app.protocols.record_formats import FormattedChange
from app.services.alerts import alerts
from app.services.core import domain_lookup, profiles
from app.services.core.listing import Listing
from app.services.domain_status import (
    dashboard,
    dns_status,
    domain_list,
    domain_table,
    saved_views,
    share_links,
)
from app.services.domain_status.domain_list import DomainFilter
from app.services.domain_status.domain_table import FirstScans, Tag
from app.services.domains import bulk_edits, verification
from app.services.domains.verification import Challenge
from app.services.scans import scans

PAGE_SIZE = 50  # domains
MAX_CHANGES = 20
MAX_SCANS = 20


@dataclass(frozen=True, slots=True)
class DomainListPage:
    """A page of the list of domains, from one snapshot.

    domains        rows of ``domain_table.COLUMNS``
    cursor_values  those of the next page, if any
    total          the number of domains that match the filters
    has_domains    whether the account has any domain
    open_alerts    by domain: the number of alerts by severity, most severe first, without zeros
    score_trends   by domain: the scores of the last scans, oldest first
    profiles       the compliance profiles to filter by
    tags           the tags to filter by
    views          the views that the user has saved
    first_scans    the progress of first scans; None if none is queued or running
    """

    domains: Sequence[Row[Any]]
    cursor_values: Sequence[Any] | None
    total: int
    has_domains: bool
    open_alerts: Mapping[UUID, Mapping[str, int]]
    score_trends: Mapping[UUID, Sequence[int]]
    profiles: Sequence[Profile]
    tags: Sequence[Tag]
    views: Sequence[SavedView]
    first_scans: FirstScans | None


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """A domain and its latest scan, a row of ``scans.COLUMNS``; None if there is none."""

    domain: Domain
    scan: Row[Any] | None

    @property
    def is_finished(self) -> bool:
        """Whether no scan is queued or running."""
        return self.scan is None or self.scan.status not in UNFINISHED


@dataclass(frozen=True, slots=True)
class DomainPage:
    """A domain with its results, from one snapshot.

    state        the last results; None before the first scan
    scan         the latest scan, a row of ``scans.COLUMNS``; None if there is none
    live         rows of ``alerts.COLUMNS``: the unresolved alerts, newest first
    score_trend  the scores of the last scans, oldest first
    challenge    the record to publish; None if the domain counts as verified
    share_links  the links that show its checks, newest first
    """

    domain: Domain
    state: DomainState | None
    scan: Row[Any] | None
    live: Sequence[Row[Any]]
    score_trend: Sequence[int]
    challenge: Challenge | None
    share_links: Sequence[ShareLink]

    @property
    def open_alerts(self) -> Sequence[Row[Any]]:
        """The open alerts, most severe first."""
        rows = [alert for alert in self.live if alert.status == "open"]
        return sorted(rows, key=lambda alert: Severity(alert.severity).rank)

    @property
    def accepted(self) -> Sequence[Row[Any]]:
        """The alerts whose risk is accepted."""
        return [alert for alert in self.live if alert.accepted_until]

    @property
    def fix_formats(self) -> Mapping[tuple[str, str], FormattedChange]:
        """The fixes in the formats of DNS tools, by code and subject of the finding."""
        results = self.state.last_results if self.state else {}
        fixes = fix_formats.of_results(self.domain.name, results)
        return {(item.code, item.subject): item.formats for item in fixes}

    @property
    def recommendations(self) -> Sequence[Any]:
        """What to fix next, in descending order of the score gain."""
        return self.state.score.get("recommendations", []) if self.state else []


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of the DNS changes of a domain, from one snapshot.

    changes        rows of ``dns_status.COLUMNS``, newest first
    cursor_values  those of the next page, if any
    scans          on the first page, rows of ``scans.COLUMNS``, newest first
    """

    domain: Domain
    changes: Sequence[Any]
    cursor_values: Sequence[Any] | None
    scans: Sequence[Row[Any]]


def listing(
    account_id: UUID,
    user_id: UUID,
    filters: DomainFilter,
    cursor_values: Sequence[Any] | None,
) -> DomainListPage:
    """Return PAGE_SIZE of the account's domains in the order of the filters.

    An unknown profile in the filters is ignored.
    """
    filters = _known(filters)
    with transaction(readonly=True, snapshot=True) as session:
        table = domain_table.listing(account_id, filters)
        rows, following = table.page(cursor_values, PAGE_SIZE, session)
        row_ids = [row.id for row in rows]
        total = domain_table.count(session, account_id, filters)
        return DomainListPage(
            domains=rows,
            cursor_values=following,
            total=total,
            has_domains=bool(total or domain_table.count(session, account_id, DomainFilter())),
            open_alerts=domain_list.open_alerts(session, account_id, row_ids),
            score_trends=dashboard.score_trends(session, account_id, row_ids),
            profiles=profiles.available(),
            tags=domain_table.tags(session, account_id),
            views=saved_views.read(session, user_id),
            first_scans=domain_table.first_scans(session, account_id),
        )


def file(account_id: UUID, filters: DomainFilter) -> Listing:
    """Return the list of all domains that match, for a download; its rows have all columns."""
    return domain_table.listing(account_id, _known(filters), has_alert_counts=True)


def _known(filters: DomainFilter) -> DomainFilter:
    """The filters, without a profile that does not exist."""
    if filters.profile in {profile.id for profile in profiles.available()}:
        return filters
    return replace(filters, profile=None, profile_result=None)


def first_scans(account_id: UUID) -> FirstScans | None:
    """Return the progress of first scans; None if none is queued or running."""
    with transaction(readonly=True) as session:
        return domain_table.first_scans(session, account_id)


def tags(account_id: UUID) -> Sequence[Tag]:
    """Return the account's tags by name."""
    with transaction(readonly=True) as session:
        return domain_table.tags(session, account_id)


def matching_names(account_id: UUID, filters: DomainFilter) -> Sequence[str]:
    """Return the names of up to ``bulk_edits.MAX_DOMAINS`` + 1 domains that match."""
    with transaction(readonly=True) as session:
        most = bulk_edits.MAX_DOMAINS + 1
        return domain_table.names(session, account_id, _known(filters), most)


def progress(account_id: UUID, ref: str) -> ScanProgress:
    """Return the domain with its latest scan.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return ScanProgress(domain, _latest_scan(session, domain))


def results(account_id: UUID, ref: str) -> DomainPage:
    """Return the domain with its results, alerts and recommendations.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return DomainPage(
            domain=domain,
            state=session.get(DomainState, domain.id),
            scan=_latest_scan(session, domain),
            live=alerts.live(session, domain.id),
            score_trend=dashboard.score_trends(session, account_id, [domain.id]).get(domain.id, []),
            challenge=_challenge(account_id, domain),
            share_links=share_links.valid_of(session, domain.id),
        )


def history(account_id: UUID, ref: str, cursor_values: Sequence[Any] | None) -> HistoryPage:
    """Return a page of the domain's DNS changes; the first page also has its recent scans.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        statement: Any = select(*dns_status.COLUMNS).where(DnsChange.domain_id == domain.id)
        listing = Listing(statement, (DnsChange.id.desc(),))
        changes, following = listing.page(cursor_values, MAX_CHANGES, session)
        return HistoryPage(
            domain=domain,
            changes=changes,
            cursor_values=following,
            scans=() if cursor_values else _latest_scans(session, domain, MAX_SCANS),
        )


def _latest_scan(session: Session, domain: Domain) -> Row[Any] | None:
    return next(iter(_latest_scans(session, domain, 1)), None)


def _latest_scans(session: Session, domain: Domain, limit: int) -> Sequence[Row[Any]]:
    statement: Any = select(*scans.COLUMNS).where(Scan.domain_id == domain.id)
    return session.execute(statement.order_by(Scan.id.desc()).limit(limit)).all()


def _challenge(account_id: UUID, domain: Domain) -> Challenge | None:
    is_required = settings.current().domain_verification == "required"
    if not is_required or verification.is_verified(domain.verified_at):
        return None
    return verification.challenge(account_id, domain.name)
