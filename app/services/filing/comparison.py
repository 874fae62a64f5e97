"""Comparison of a report with the stored report that has the same key.

A report is *partial* if the parser skipped records that it cannot read. The partial report and the
same report read completely are one report.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import DmarcRecord, DmarcReport, TlsPolicy
from app.models import TlsReport as StoredTls
from app.protocols.quantities import quantity
from app.protocols.report_formats.aggregate import AggregateReport, figures
from app.protocols.report_formats.tls_rpt import tls_figures
from app.protocols.report_formats.tls_rpt.tls import FailureDetail, Policy, TlsReport
from app.services.filing.parsing import ParsedReport

_BATCH_SIZE = 1_000
_FIGURES = (
    *(DmarcRecord.source_ip, DmarcRecord.count, DmarcRecord.disposition),
    *(DmarcRecord.dkim, DmarcRecord.spf, DmarcRecord.header_from),
)


class Relation(StrEnum):
    """What a report is in comparison with the stored one."""

    SAME = "same"
    MORE_COMPLETE = "more complete"  # the same report, with records that the stored one lacks
    LESS_COMPLETE = "less complete"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ExistingReport:
    """A stored report with the same key as another report.

    skipped, skipped_messages  the records that could not be read, and their messages or sessions
    """

    id: UUID
    report_file_id: UUID
    content_digest: bytes
    provenance: str
    skipped: int = 0
    skipped_messages: int = 0


@dataclass(frozen=True, slots=True)
class _Contents:
    """The figures of a report, and how much of it is not in them.

    figures           messages by source and result, or sessions by policy and result
    details           of a TLS report: failed sessions by failure
    records, skipped  the number of records, or policies, that were read, and of the others
    skipped_messages  of the others, as far as they are known
    """

    figures: Counter[Any]
    records: int
    skipped: int
    skipped_messages: int
    details: Counter[Any]

    @property
    def messages(self) -> int:
        """All messages or sessions of the report, as far as they are known."""
        return self.figures.total() + self.skipped_messages


def existing(session: Session, table: Any, key: Mapping[str, Any]) -> ExistingReport:
    """Return the stored report with this key, locked; waits for one that is being inserted."""
    columns = [table.id, table.report_file_id, table.content_digest, table.provenance]
    if table is DmarcReport:
        columns += [table.skipped_count, table.skipped_messages]
    elif table is StoredTls:
        columns += [table.skipped_count, table.skipped_sessions]
    equals = [getattr(table, name) == value for name, value in key.items()]
    return ExistingReport(*session.execute(select(*columns).where(*equals).with_for_update()).one())


def relation(
    session: Session, stored: ExistingReport, parsed: ParsedReport, *, is_same_file: bool
) -> Relation:
    """Return what a report is in comparison with the stored one that has the same key.

    is_same_file  the stored report is from the same file, possibly by an earlier version of the
                  parser. It is only replaced if more of it can be read now
    """
    if stored.content_digest == parsed.digest:
        return Relation.SAME
    if is_same_file:
        is_more = parsed.skipped < stored.skipped
        return Relation.MORE_COMPLETE if is_more else Relation.SAME
    if isinstance(parsed.report, AggregateReport):
        # The digest that an earlier release stored also depends on other values.
        return _compared(_stored_messages(session, stored), _messages(parsed.report))
    if isinstance(parsed.report, TlsReport) and (stored.skipped or parsed.skipped):
        return _compared(_stored_sessions(session, stored), _sessions(parsed.report))
    return Relation.OTHER


def _compared(old: _Contents, new: _Contents) -> Relation:
    """What ``new`` is in comparison with ``old``."""
    is_same = old.figures == new.figures and old.details == new.details
    if is_same and (old.skipped, old.skipped_messages) == (new.skipped, new.skipped_messages):
        return Relation.SAME
    if _completes(old, new):
        return Relation.MORE_COMPLETE
    return Relation.LESS_COMPLETE if _completes(new, old) else Relation.OTHER


def _completes(partial: _Contents, complete: _Contents) -> bool:
    """Whether a report has all that the partial one has, and the rest is what it lacks.

    If the messages of a skipped record are not known, it must have a source and result of its own.
    """
    if complete.skipped >= partial.skipped or complete.messages < partial.messages:
        return False
    if not (partial.figures <= complete.figures and partial.details <= complete.details):
        return False
    if complete.messages == partial.messages:
        return True
    has_more_records = complete.records + complete.skipped > partial.records + partial.skipped
    return not has_more_records and partial.figures.items() <= complete.figures.items()


def _messages(report: AggregateReport) -> _Contents:
    return _Contents(
        figures=figures.sums(report.records),
        records=len(report.records),
        skipped=report.skipped.count,
        skipped_messages=report.skipped.messages,
        details=Counter(),
    )


def _stored_messages(session: Session, stored: ExistingReport) -> _Contents:
    statement = select(*_FIGURES).where(DmarcRecord.report_id == stored.id)
    records = session.execute(statement.execution_options(yield_per=_BATCH_SIZE))
    sums = figures.sums(tuple(record) for record in records)
    count = select(DmarcReport.record_count).where(DmarcReport.id == stored.id)
    return _Contents(
        figures=sums,
        records=session.scalars(count).one(),
        skipped=stored.skipped,
        skipped_messages=stored.skipped_messages,
        details=Counter(),
    )


def _sessions(report: TlsReport) -> _Contents:
    skipped = report.skipped
    return _contents_of_tls(report.policies, skipped.policies + skipped.details, skipped.sessions)


def _stored_sessions(session: Session, stored: ExistingReport) -> _Contents:
    rows = session.scalars(select(TlsPolicy).where(TlsPolicy.report_id == stored.id))
    policies = [
        Policy(
            type=row.policy_type,
            domain=row.policy_domain,
            strings=(),
            mx_hosts=(),
            successful=row.successful,
            failed=row.failed,
            failures=tuple(FailureDetail(**failure) for failure in row.failures),
        )
        for row in rows
    ]
    return _contents_of_tls(policies, stored.skipped, stored.skipped_messages)


def _contents_of_tls(policies: Sequence[Policy], skipped: int, skipped_sessions: int) -> _Contents:
    sessions, failures = tls_figures.sums(policies)
    return _Contents(
        figures=sessions,
        records=len(policies),
        skipped=skipped,
        skipped_messages=skipped_sessions,
        details=failures,
    )


def describe(session: Session, report_id: UUID, row: Mapping[str, Any]) -> str:
    """Return the figures of the counted report and of the report that contradicts it, for people.

    report_id  of the counted report
    row        the columns of the other report
    """
    counted = session.execute(
        select(DmarcReport.messages, DmarcReport.passed, DmarcReport.record_count).where(
            DmarcReport.id == report_id
        )
    ).one()
    other = (row["messages"], row["passed"], row["record_count"])
    return f"Counted report: {_text(*counted)}. This report: {_text(*other)}"


def _text(messages: int, passed: int, records: int) -> str:
    counts = f"{quantity(messages, 'message')} in {quantity(records, 'record')}"
    return f"{counts}, {quantity(passed, 'message')} passed DMARC"
