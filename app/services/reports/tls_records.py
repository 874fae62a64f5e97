"""Records of TLS reports: the policies of a domain in a window, with the failures of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.analysis.mail.periods import Window
from app.analysis.mail.record_filter import TlsRecordFilter
from app.db import transactions
from app.db.transactions import transaction
from app.models import Domain, TlsPolicy, TlsReport
from app.services.analytics import tls_policies
from app.services.analytics.tls_policies import Failures
from app.services.core import domain_lookup
from app.services.core.listing import Listing

PAGE_SIZE = 50  # records
PAGE_FAILURES = 5  # listed for one policy on a page
MAX_FAILURES = 50  # listed for one policy; a report can have as many as fit in a file

_REPORT = (
    TlsReport.report_id.label("named"),
    TlsReport.reporter,
    TlsReport.organization,
    TlsReport.begin_at,
    TlsReport.end_at,
    TlsReport.provenance,
    (TlsReport.skipped_count > 0).label("is_partial"),
)


@dataclass(frozen=True, slots=True)
class TlsRecordTotals:
    """The sums of a list of TLS report records."""

    successful: int
    failed: int
    failed_sessions: int


class ListedRecord(NamedTuple):
    """A record on a page, its first PAGE_FAILURES failures, and the number of the others."""

    record: Any
    failures: Sequence[Any]
    other_failures: int


@dataclass(frozen=True, slots=True)
class TlsRecordPage:
    """A page of the records of a domain's TLS reports.

    cursor_values  the start of the next page; None if there is none
    totals         the sums of all records, if they are all on this page
    """

    domain: Domain
    rows: Sequence[ListedRecord]
    cursor_values: Sequence[Any] | None
    totals: TlsRecordTotals | None


def of_domain(account_id: UUID, ref: str, window: Window, filter: TlsRecordFilter) -> Listing:
    """Return the policies of a domain's TLS reports that count in the window, newest first.

    Numbers of sessions are limited as in the analytics. ``named`` is the reporter's id of the
    report. ``failures`` are the matching ones, at most MAX_FAILURES; ``failure_count`` is their
    number, and ``failed_sessions`` the sum of their sessions.

    raises  NotFound for a domain that is not in the account
    """
    return _listing(domain_lookup.find(account_id, ref), window, filter)


def page(
    account_id: UUID,
    ref: str,
    window: Window,
    filter: TlsRecordFilter,
    after: Sequence[Any] | None,
) -> TlsRecordPage:
    """Return PAGE_SIZE records of ``of_domain``, with their sums.

    after   the cursor values of the previous page
    raises  NotFound for a domain that is not in the account
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        rows, cursor_values = _listing(domain, window, filter).page(after, PAGE_SIZE, session)
    is_complete = after is None and cursor_values is None
    return TlsRecordPage(
        domain=domain,
        rows=[_listed(row) for row in rows],
        cursor_values=cursor_values,
        totals=_totals(rows) if is_complete else None,
    )


def _listed(record: Any) -> ListedRecord:
    failures = (record.failures or ())[:PAGE_FAILURES]
    return ListedRecord(record, failures, max(0, record.failure_count - PAGE_FAILURES))


def _totals(rows: Sequence[Any]) -> TlsRecordTotals:
    return TlsRecordTotals(
        successful=sum(row.successful for row in rows),
        failed=sum(row.failed for row in rows),
        failed_sessions=sum(row.failed_sessions for row in rows),
    )


def _listing(domain: Domain, window: Window, filter: TlsRecordFilter) -> Listing:
    failures = Failures.of(transactions.current_engine().dialect.name)
    matching = _matching(failures, filter)
    statement = (
        select(
            TlsPolicy.report_id,
            TlsPolicy.position,
            TlsPolicy.at,
            TlsPolicy.policy_type,
            TlsPolicy.policy_domain,
            tls_policies.clipped(TlsPolicy.successful).label("successful"),
            tls_policies.clipped(TlsPolicy.failed).label("failed"),
            failures.first(matching, MAX_FAILURES).label("failures"),
            failures.count(matching).label("failure_count"),
            failures.total(matching).label("failed_sessions"),
            *_REPORT,
        )
        .join(TlsReport, TlsReport.id == TlsPolicy.report_id)
        .where(
            TlsPolicy.account_id == domain.account_id,
            *tls_policies.counted(domain.id, window),
            *_conditions(filter),
            *([failures.exist(matching)] if matching else []),
        )
    )
    order = (TlsPolicy.at.desc(), TlsPolicy.report_id.desc(), TlsPolicy.position)
    return Listing(statement, order)


def _conditions(filter: TlsRecordFilter) -> list[ColumnElement[bool]]:
    expected = (
        (TlsPolicy.policy_type, filter.policy_type),
        (TlsReport.reporter, filter.reporter),
        (TlsReport.provenance, filter.provenance),
    )
    return [column == value.lower() for column, value in expected if value]


def _matching(failures: Failures, filter: TlsRecordFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if filter.result_type:
        conditions.append(failures.result_type == filter.result_type.lower())
    if filter.mx:
        conditions.append(failures.mx == filter.mx)
    if filter.has_mx is not None:
        conditions.append(failures.mx != "" if filter.has_mx else failures.mx == "")
    return conditions
