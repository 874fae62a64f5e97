"""Aggregate reports for tests, stored and counted as the intake does it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from app import ids
from app.db import transaction
from app.insight import periods
from app.models import DmarcRecord, DmarcReport, Domain
from app.services import rollups

DAY = timedelta(days=1)
_numbers = itertools.count(1)


class Reason(NamedTuple):
    """A receiver's reason."""

    type: str
    comment: str | None = None


@dataclass(frozen=True)
class Row:
    """A record of a report, every default valid: aligned mail of the domain ``acme.test``."""

    source_ip: str = "192.0.2.1"
    count: int = 1
    disposition: str = "none"
    dkim: bool = True
    spf: bool = True
    header_from: str = "acme.test"
    envelope_from: str | None = None
    reasons: Sequence[Reason] = ()
    dkim_results: Sequence[tuple[str, str | None, str]] = (("acme.test", "s1", "pass"),)
    spf_results: Sequence[tuple[str, str | None, str]] = (("acme.test", "mfrom", "pass"),)


@dataclass(frozen=True)
class Report:
    """A report with its records."""

    rows: Sequence[Row]
    begin: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    length: timedelta = DAY
    reporter: str = "google.com"
    provenance: str = "token"

    @property
    def end(self) -> datetime:
        return self.begin + self.length

    @property
    def days(self) -> int:
        return periods.days_of(self.begin, self.end)


def store(domain: Domain, report: Report) -> UUID:
    """Insert the report and its records, and count them."""
    stored = DmarcReport(
        id=ids.new(), account_id=domain.account_id, domain_id=domain.id, intake_id=ids.new(),
        policy_domain=domain.name, reporter=report.reporter, report_id=f"r{next(_numbers)}",
        begin_at=report.begin, end_at=report.end, days=report.days, org_name=report.reporter,
        email=f"dmarc@{report.reporter}", policy={"p": "none"}, records=len(report.rows),
        messages=min(sum(row.count for row in report.rows), 2**63 - 1), passed=0,
        provenance=report.provenance, content_digest=b"", received_at=report.end,
    )  # fmt: skip
    middle = periods.middle(report.begin, report.end)
    with transaction() as session:
        session.add(stored)
        session.flush()  # the records refer to it
        session.add_all(
            DmarcRecord(
                report_id=stored.id, position=position, account_id=domain.account_id,
                domain_id=domain.id, at=middle, **_columns(row),
            )
            for position, row in enumerate(report.rows)
        )  # fmt: skip
        rollups.add(session, stored, report.rows)
    return stored.id


def _columns(row: Row) -> dict[str, Any]:
    plain = ("source_ip", "count", "disposition", "dkim", "spf", "header_from", "envelope_from")
    return {
        **{name: getattr(row, name) for name in plain},
        "reasons": [reason._asdict() for reason in row.reasons],
        "dkim_results": [
            dict(zip(("domain", "selector", "result"), one, strict=True))
            for one in row.dkim_results
        ],
        "spf_results": [
            dict(zip(("domain", "scope", "result"), one, strict=True)) for one in row.spf_results
        ],
    }
