"""Comparison of an aggregate report with the stored report that has the same key."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import DmarcRecord, DmarcReport
from app.protocols.report_formats.aggregate import figures

_BATCH_SIZE = 1_000
_FIGURES = (
    *(DmarcRecord.source_ip, DmarcRecord.count, DmarcRecord.disposition),
    *(DmarcRecord.dkim, DmarcRecord.spf, DmarcRecord.header_from),
)


def has_figures(session: Session, report_id: UUID, digest: bytes) -> bool:
    """Return whether the records of a stored report have this digest.

    The digest that an earlier release stored also depends on other values. It runs in the caller's
    transaction.
    """
    statement = select(*_FIGURES).where(DmarcRecord.report_id == report_id)
    records = session.execute(statement.execution_options(yield_per=_BATCH_SIZE))
    return figures.digest(tuple(record) for record in records) == digest


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
    return f"{messages} messages in {records} records, {passed} messages passed DMARC"
