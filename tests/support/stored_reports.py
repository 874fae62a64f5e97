"""Aggregate reports for tests, stored and counted as ingestion does it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app import ids
from app.analysis.mail import periods
from app.analysis.mail.periods import Window
from app.db.transactions import transaction
from app.models import DmarcRecord, DmarcReport, Domain, TlsPolicy, TlsReport
from app.protocols.report_formats.aggregate import DkimResult, Record, SpfResult
from app.services.analytics import sending
from app.services.analytics.sending import SendingReport
from app.services.rollups import rollup_queue

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = dict.fromkeys(
    ("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method")
) | {"p": "none"}
_numbers = itertools.count(1)


def record(source_ip: str = "192.0.2.1", count: int = 1, **fields: Any) -> Record:
    """Return a record; by default of aligned mail of ``acme.test``."""
    values: dict[str, Any] = {
        "disposition": "none",
        "dkim": True,
        "spf": True,
        "header_from": "acme.test",
        "envelope_from": None,
        "envelope_to": None,
        "reasons": (),
        "dkim_results": (DkimResult("acme.test", "s1", "pass"),),
        "spf_results": (SpfResult("acme.test", "mfrom", "pass"),),
    }
    return Record(source_ip, count, **(values | fields))


@dataclass(frozen=True)
class Report:
    """A report with its records."""

    rows: Sequence[Record]
    begin: datetime = START
    length: timedelta = DAY
    reporter: str = "google.com"
    provenance: str = "token"
    policy: Mapping[str, str | None] = field(default_factory=POLICY.copy)
    about: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    skipped_messages: int = 0

    @property
    def end(self) -> datetime:
        return self.begin + self.length

    @property
    def days(self) -> int:
        return periods.days_of(self.begin, self.end)


def store(domain: Domain, report: Report, *, is_pending: bool = False) -> UUID:
    """Insert the report and its records, and roll them up unless ``is_pending``."""
    stored = _report_row(domain, report)
    with transaction() as session:
        session.add(stored)
        session.flush()  # the records refer to it
        session.add_all(_record_rows(stored, report))
        entry = {"id": stored.id, "domain_id": domain.id, "record_count": len(report.rows)}
        rollup_queue.enqueue(session, [entry])
    if not is_pending:
        rollup_queue.drain_domains([domain.id])
    return stored.id


def _report_row(domain: Domain, report: Report) -> DmarcReport:
    return DmarcReport(
        id=ids.new(),
        account_id=domain.account_id,
        domain_id=domain.id,
        report_file_id=ids.new(),
        policy_domain=report.about or domain.name,
        reporter=report.reporter,
        report_id=f"r{next(_numbers)}",
        begin_at=report.begin,
        end_at=report.end,
        days=report.days,
        org_name=report.reporter,
        email=f"dmarc@{report.reporter}",
        policy=dict(report.policy),
        record_count=len(report.rows),
        messages=min(sum(row.count for row in report.rows), 2**63 - 1),
        passed=0,
        skipped_count=sum(report.skipped.values()),
        skipped_messages=report.skipped_messages,
        skipped_reasons=dict(report.skipped),
        provenance=report.provenance,
        content_digest=b"",
        received_at=report.end,
    )


def _record_rows(stored: DmarcReport, report: Report) -> list[DmarcRecord]:
    middle = periods.middle(report.begin, report.end)
    return [
        DmarcRecord(
            report_id=stored.id,
            position=position,
            account_id=stored.account_id,
            domain_id=stored.domain_id,
            at=middle,
            **_columns(row),
        )
        for position, row in enumerate(report.rows)
    ]


def sending_report(domain: Domain, window: Window) -> SendingReport:
    """Return the email of a domain in a window, from all reports that are stored."""
    rollup_queue.drain_domains([domain.id])
    with transaction(readonly=True, snapshot=True) as session:
        return sending.load(session, domain, window)


def _columns(row: Record) -> dict[str, Any]:
    return {
        **row._asdict(),
        "reasons": [reason._asdict() for reason in row.reasons],
        "dkim_results": [result._asdict() for result in row.dkim_results],
        "spf_results": [result._asdict() for result in row.spf_results],
    }


def tls_failure(
    result_type: str = "certificate-expired", sessions: int = 1, **columns: Any
) -> dict[str, Any]:
    """Return one kind of failed sessions, as a policy stores them."""
    others = ("sending_ip", "mx", "mx_helo", "receiving_ip", "information", "reason_code")
    return {"result_type": result_type, "sessions": sessions, **dict.fromkeys(others), **columns}


def tls_policy(policy_type: str = "sts", **columns: Any) -> dict[str, Any]:
    """Return the columns of a policy of a TLS report."""
    counts = {"successful": 0, "failed": 0, "failures": []}
    return {"policy_type": policy_type, "policy_domain": "acme.test", **counts, **columns}


def store_tls_report(
    domain: Domain,
    policies: Sequence[Mapping[str, Any]],
    *,
    at: datetime = START + DAY / 2,
    reporter: str = "google.com",
    **columns: Any,
) -> UUID:
    """Insert a TLS report of the day around ``at``, with its policies."""
    defaults = {"organization": reporter, "provenance": "token"}
    report = TlsReport(
        id=ids.new(),
        account_id=domain.account_id,
        domain_id=domain.id,
        report_file_id=ids.new(),
        policy_domain=domain.name,
        reporter=reporter,
        report_id=f"t{next(_numbers)}",
        begin_at=at - DAY / 2,
        end_at=at + DAY / 2,
        content_digest=b"",
        received_at=at + DAY / 2,
        **(defaults | columns),
    )
    with transaction() as session:
        session.add(report)
        session.flush()  # the policies refer to it
        session.add_all(_policy_rows(report, policies, at))
    return report.id


def _policy_rows(
    report: TlsReport, policies: Sequence[Mapping[str, Any]], at: datetime
) -> list[TlsPolicy]:
    return [
        TlsPolicy(
            report_id=report.id,
            position=position,
            account_id=report.account_id,
            domain_id=report.domain_id,
            at=at,
            policy_strings=[],
            mx_hosts=[],
            **policy,
        )
        for position, policy in enumerate(policies)
    ]


def store_tls(domain: Domain, *policies: tuple[str, int, int], begin: datetime = START) -> None:
    """Store a TLS report of one day; a policy is its type, successful and failed sessions."""
    failure = tls_failure(sessions=sum(failed for *_, failed in policies), mx=f"mx.{domain.name}")
    rows = [
        tls_policy(
            kind,
            policy_domain=domain.name,
            successful=successful,
            failed=failed,
            failures=[failure] if failed else [],
        )
        for kind, successful, failed in policies
    ]
    store_tls_report(domain, rows, at=begin + DAY / 2, organization="Google")
