"""Policies of TLS reports with what failed under each: those that a figure of analytics has."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.analysis.mail.periods import Window
from app.db import transactions
from app.models import TlsPolicy, TlsReport
from app.services.analytics import tls_policies
from app.services.analytics.tls_policies import Failures
from app.services.core import domain_lookup
from app.services.core.listing import Listing

MAX_FAILURES = 50  # of one policy that are listed: a report may have as many as fit in a file

_REPORT = (
    TlsReport.report_id.label("named"),
    TlsReport.reporter,
    TlsReport.organization,
    TlsReport.begin_at,
    TlsReport.end_at,
    TlsReport.provenance,
)


@dataclass(frozen=True, slots=True)
class TlsFilter:
    """Which policies; what is None leaves all.

    result_type, mx, has_mx  … and of these only failures of this type, with this MX host, with
                             any or (False) without one: only policies that have such
    """

    policy_type: str | None = None
    reporter: str | None = None
    provenance: str | None = None
    result_type: str | None = None
    mx: str | None = None
    has_mx: bool | None = None


def of_domain(account_id: UUID, ref: str, window: Window, filters: TlsFilter) -> Listing:
    """The policies of a domain's TLS reports that count in the window, the newest first.

    Numbers of sessions are those that are added up. ``named`` is the reporter's id of the report.
    ``failures`` are those that fit, up to MAX_FAILURES; ``failure_count``: how many there are,
    ``failed_sessions``: how many sessions failed in all of these.

    raises  NotFound for a domain that the account has not
    """
    domain = domain_lookup.find(account_id, ref)
    failures = Failures.of(transactions.current_engine().dialect.name)
    fitting = _fitting(failures, filters)
    statement = (
        select(
            TlsPolicy.report_id,
            TlsPolicy.position,
            TlsPolicy.at,
            TlsPolicy.policy_type,
            TlsPolicy.policy_domain,
            tls_policies.clipped(TlsPolicy.successful).label("successful"),
            tls_policies.clipped(TlsPolicy.failed).label("failed"),
            failures.first(fitting, MAX_FAILURES).label("failures"),
            failures.count(fitting).label("failure_count"),
            failures.total(fitting).label("failed_sessions"),
            *_REPORT,
        )
        .join(TlsReport, TlsReport.id == TlsPolicy.report_id)
        .where(
            TlsPolicy.account_id == account_id,
            *tls_policies.counted(domain.id, window),
            *_conditions(filters),
            *([failures.exist(fitting)] if fitting else []),
        )
    )
    order = (TlsPolicy.at.desc(), TlsPolicy.report_id.desc(), TlsPolicy.position)
    return Listing(statement, order)


def _conditions(filters: TlsFilter) -> list[ColumnElement[bool]]:
    wanted = (
        (TlsPolicy.policy_type, filters.policy_type),
        (TlsReport.reporter, filters.reporter),
        (TlsReport.provenance, filters.provenance),
    )
    return [column == value.lower() for column, value in wanted if value]


def _fitting(failures: Failures, filters: TlsFilter) -> list[ColumnElement[bool]]:
    found = []
    if filters.result_type:
        found.append(failures.result_type == filters.result_type.lower())
    if filters.mx:
        found.append(failures.mx == filters.mx)
    if filters.has_mx is not None:
        found.append(failures.mx != "" if filters.has_mx else failures.mx == "")
    return found
