"""How much of the reports of a domain could be read, by reporter."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from app.models import DmarcReport, Domain, TlsPolicy, TlsReport
from app.models.reports import PROVENANCES
from app.rules.reports.posture import ReadReports
from app.services.analytics import tls_policies

DAYS = 7


def of_domain(
    session: Session, domain: Domain, now: datetime, *, is_trusted_only: bool
) -> Sequence[ReadReports]:
    """Return the reports of the last DAYS by kind and reporter, in the caller's transaction."""

    def recent(table: Any) -> list[Any]:
        since = now - timedelta(days=DAYS)
        trusted = [table.provenance != PROVENANCES[0]] if is_trusted_only else []
        return [table.domain_id == domain.id, table.begin_at >= since, *trusted]

    return [*_dmarc(session, recent(DmarcReport)), *_tls(session, recent(TlsReport))]


def _dmarc(session: Session, recent: Sequence[Any]) -> list[ReadReports]:
    sums = (
        func.count(),
        func.sum(case((DmarcReport.skipped_count > 0, 1), else_=0)),
        func.sum(DmarcReport.record_count),
        tls_policies.total(DmarcReport.messages),
        func.sum(DmarcReport.skipped_count),
        tls_policies.total(DmarcReport.skipped_messages),
    )
    rows = session.execute(
        select(DmarcReport.reporter, *sums).where(*recent).group_by(DmarcReport.reporter)
    ).all()
    reasons = _reasons(session, DmarcReport, recent)
    return [_read("dmarc", row[0], [int(value) for value in row[1:]], reasons) for row in rows]


def _tls(session: Session, recent: Sequence[Any]) -> list[ReadReports]:
    """As for DMARC; a record is a policy or a failure detail, and a message is a session."""
    skipped = session.execute(
        select(
            TlsReport.reporter,
            func.count(),
            func.sum(case((TlsReport.skipped_count > 0, 1), else_=0)),
            func.sum(TlsReport.skipped_count),
            tls_policies.total(TlsReport.skipped_sessions + TlsReport.skipped_failed_sessions),
        )
        .where(*recent)
        .group_by(TlsReport.reporter)
    ).all()
    sessions = tls_policies.total(TlsPolicy.successful + TlsPolicy.failed)
    records = func.count() + func.sum(func.json_array_length(TlsPolicy.failures))
    rows = session.execute(
        select(TlsReport.reporter, records, sessions)
        .join(TlsPolicy, TlsPolicy.report_id == TlsReport.id)
        .where(*recent)
        .group_by(TlsReport.reporter)
    )
    read = {name: (int(policies), int(count)) for name, policies, count in rows}
    reasons = _reasons(session, TlsReport, recent)
    return [
        _read("tls", name, [*map(int, (*counts, *read.get(name, (0, 0)), *parts))], reasons)
        for name, *values in skipped
        for counts, parts in [(values[:2], values[2:])]
    ]


def _read(
    kind: str, reporter: str, sums: Sequence[int], reasons: dict[str, Counter[str]]
) -> ReadReports:
    reports, partial_reports, records, messages, skipped_records, skipped_messages = sums
    return ReadReports(
        kind=kind,
        reporter=reporter,
        reports=reports,
        partial_reports=partial_reports,
        records=records,
        messages=messages,
        skipped_records=skipped_records,
        skipped_messages=skipped_messages,
        reasons=dict(reasons[reporter].most_common()),
    )


def _reasons(session: Session, table: Any, recent: Sequence[Any]) -> dict[str, Counter[str]]:
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    partial = select(table.reporter, table.skipped_reasons).where(*recent, table.skipped_count > 0)
    for reporter, numbers in session.execute(partial):
        reasons[reporter].update(numbers)
    return reasons
