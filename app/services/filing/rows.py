"""Rows of reports, their records and their policies, with the columns of the documents."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app import models, settings
from app.analysis.mail import periods
from app.db.bulk import bind, insert_bound
from app.db.transactions import current_engine
from app.models import DmarcRecord, ReportFile, TlsPolicy
from app.protocols.report_formats import failure as report_formats_failure
from app.protocols.report_formats import origin
from app.protocols.report_formats.aggregate import AggregateReport, Record
from app.protocols.report_formats.failure import FailureReport
from app.protocols.report_formats.origin import Origin
from app.protocols.report_formats.tls_rpt.tls import Policy, TlsReport
from app.services.filing.parsing import ParsedReport, Report
from app.services.record_log.record_log import Entry, EntryKind

UNKNOWN_REPORTER = "unknown"  # the report names neither an address nor an organization
_ADDRESS = re.compile(r"(?<![^@\s])[^@\s]+@([^@\s>]+)")

Table = type[models.DmarcReport] | type[models.TlsReport] | type[models.FailureReport]

TABLES: Mapping[str, Table] = {
    "dmarc": models.DmarcReport,
    "tls": models.TlsReport,
    "failure": models.FailureReport,
}
_FIXED = ("report_id", "account_id", "domain_id", "at")  # the same in all rows of a report
_RECORD_CELLS = (
    *("position", "source_ip", "count", "disposition", "dkim", "spf"),
    *("header_from", "envelope_from", "envelope_to", "reasons", "dkim_results", "spf_results"),
)
_POLICY_CELLS = (
    *("position", "policy_type", "policy_domain", "policy_strings", "mx_hosts"),
    *("successful", "failed", "failures"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A report that is to be inserted.

    domain         the verified domain that it is filed under
    policy_domain  the domain that it is about: ``domain`` or a subdomain of it
    row            the columns of the report itself
    """

    file: ReportFile
    parsed: ParsedReport
    domain: str
    policy_domain: str
    row: Mapping[str, Any]

    @property
    def table(self) -> Table:
        """The table for reports of this kind."""
        return TABLES[str(self.parsed.kind)]


def log_entry(filing: Filing) -> Entry:
    """Return the entry of the record log for a report."""
    report, size = filing.parsed.report, 1
    if isinstance(report, AggregateReport):
        size = len(report.records)
    elif isinstance(report, TlsReport):
        size = sum(1 + len(policy.failures) for policy in report.policies)
    return Entry(
        account_id=filing.row["account_id"],
        domain_id=filing.row["domain_id"],
        kind=EntryKind(str(filing.parsed.kind)),
        row_id=filing.row["id"],
        size=size,
    )


def removal_entry(report: models.DmarcReport | models.TlsReport | models.FailureReport) -> Entry:
    """Return the entry of the record log for a report that another one replaces."""
    kind = next(kind for kind, table in TABLES.items() if isinstance(report, table))
    return Entry(
        account_id=report.account_id,
        domain_id=report.domain_id,
        kind=EntryKind(f"{kind}_removed"),
        row_id=report.id,
    )


def head(report: Report, policy_domain: str, account_id: UUID) -> Mapping[str, Any]:
    """Return the columns of the report itself that come from its document.

    policy_domain  the domain that the report is about
    """
    if isinstance(report, FailureReport):
        return _failure(report_formats_failure.redact(report, _key(account_id)), policy_domain)
    common = {
        "policy_domain": policy_domain,
        "report_id": report.report_id[:255],
        "begin_at": datetime.fromtimestamp(report.begin, UTC),
        "end_at": datetime.fromtimestamp(report.end, UTC),
        "warnings": list(report.warnings),
    }
    if isinstance(report, AggregateReport):
        return {**common, **_aggregate(report)}
    return {
        **common,
        "reporter": _reporter(report.contact, report.organization),
        "organization": report.organization[:300],
        "contact": _truncate(report.contact, 1024),
        "skipped_count": report.skipped.policies + report.skipped.details,
        "skipped_sessions": report.skipped.sessions,
        "skipped_failed_sessions": report.skipped.failed,
        "skipped_reasons": dict(report.skipped.reasons),
    }


def _failure(report: FailureReport, domain: str) -> Mapping[str, Any]:
    """The columns of a redacted report: addresses are hashes, and there is no body."""
    results = report.authentication_results
    return {
        "reporter": _authority(results),
        "reported_domain": domain,
        "auth_failure": list(report.auth_failure),
        "identity_alignment": list(report.identity_alignment),
        "delivery_result": _truncate(report.delivery_result, 64),
        "source_ip": report.source_ip,
        "arrived_at": datetime.fromtimestamp(report.arrived_at, UTC) if report.arrived_at else None,
        "incidents": report.incidents,
        "sender": _truncate(report.mail_from, 320),
        "recipient": _truncate(report.recipient, 320),
        "dkim_domain": report.dkim_domain,
        "dkim_selector": _truncate(report.dkim_selector, 253),
        "details": {
            "userAgent": report.user_agent,
            "subject": report.subject,
            "messageId": report.message_id,
            "headerFrom": report.header_from,
            "dkimIdentity": report.dkim_identity,
            "spfDns": report.spf_dns,
            "authenticationResults": list(results),
            "warnings": list(report.warnings),
        },
    }


def _authority(results: Sequence[str]) -> str | None:
    """The server that authenticated the message, which is the reporter (RFC 8601 §2.5)."""
    words = results[0].partition(";")[0].split() if results else []
    return words[0].lower()[:253] if words else None


def _key(account_id: UUID) -> bytes:
    """The hash key of the account, so that an address has different hashes in other accounts."""
    secret = settings.current().secret_key
    return hashlib.sha256(f"failure-reports:{account_id}:{secret}".encode()).digest()


def _aggregate(report: AggregateReport) -> Mapping[str, Any]:
    policy = report.policy
    return {
        "reporter": _reporter(report.email, report.org_name),
        "days": periods.days_of(
            datetime.fromtimestamp(report.begin, UTC), datetime.fromtimestamp(report.end, UTC)
        ),
        "org_name": report.org_name[:300],
        "email": report.email[:320],
        "contact": _truncate(report.contact, 1024),
        "generator": _truncate(report.generator, 300),
        "namespace": _truncate(report.namespace, 100),
        "version": _truncate(report.version, 20),
        "policy": {
            "p": policy.p,
            "sp": policy.sp,
            "np": policy.np,
            "adkim": policy.adkim,
            "aspf": policy.aspf,
            "pct": policy.pct,
            "fo": policy.fo,
            "testing": policy.testing,
            "discovery_method": policy.discovery_method,
        },
        "record_count": len(report.records),
        "messages": sum(record.count for record in report.records),
        "passed": sum(r.count for r in report.records if r.dkim or r.spf),
        "skipped_count": report.skipped.count,
        "skipped_messages": report.skipped.messages,
        "skipped_reasons": dict(report.skipped.reasons),
    }


def _reporter(contact: str | None, organization: str) -> str:
    """The domain of the reporter's address, or else its organization, in lower case."""
    match = _ADDRESS.search(contact or "")
    name = (match[1] if match else organization).strip().rstrip(".").lower()[:253]
    return name or UNKNOWN_REPORTER


def _truncate(text: str | None, length: int) -> str | None:
    return text[:length] if text else None


def set_sender(file: ReportFile, source: Origin, *, is_rejected: bool) -> None:
    """Set what the file says about its sender; the envelope of a mail server counts first."""
    mail_from = file.sender_metadata.get("mailFrom")
    file.envelope_from = (
        source.envelope_from if mail_from is None else origin.address(mail_from or "<>")
    )
    file.header_from, file.subject = source.header_from, source.subject
    file.attachment_name = source.attachment_name
    if is_rejected:
        file.reporter = source.reporter


def with_rows(parsed: ParsedReport) -> ParsedReport:
    """Return the report with the cells of its records or policies as the database takes them.

    They are made before the transaction, which on SQLite blocks all other writers.
    """
    if parsed.rows is not None:
        return parsed
    report, dialect = parsed.report, current_engine().dialect
    if isinstance(report, AggregateReport):
        cells = map(_record, count(), report.records)
        return replace(parsed, rows=tuple(bind(dialect, DmarcRecord, _RECORD_CELLS, cells)))
    if isinstance(report, TlsReport):
        cells = map(_policy, count(), report.policies)
        return replace(parsed, rows=tuple(bind(dialect, TlsPolicy, _POLICY_CELLS, cells)))
    return parsed


def add_records(session: Session, filings: Iterable[Filing]) -> None:
    """Insert the records of aggregate reports, in the caller's transaction."""
    _add(session, DmarcRecord, _RECORD_CELLS, filings)


def add_policies(session: Session, filings: Iterable[Filing]) -> None:
    """Insert the policies of TLS reports, in the caller's transaction."""
    _add(session, TlsPolicy, _POLICY_CELLS, filings)


def _add(
    session: Session,
    table: type[DmarcRecord] | type[TlsPolicy],
    cells: Sequence[str],
    filings: Iterable[Filing],
) -> None:
    by_report = [(_fixed(filing.row), with_rows(filing.parsed).rows) for filing in filings]
    fixed = bind(session.connection().dialect, table, _FIXED, (values for values, _ in by_report))
    rows = (
        (*values, *row)
        for values, (_, cells_of_report) in zip(fixed, by_report, strict=True)
        for row in cells_of_report or ()
    )
    insert_bound(session, table, (*_FIXED, *cells), rows)


def _fixed(row: Mapping[str, Any]) -> tuple[Any, ...]:
    at = periods.middle(row["begin_at"], row["end_at"])
    return row["id"], row["account_id"], row["domain_id"], at


def _record(position: int, record: Record) -> tuple[Any, ...]:
    return (
        position,
        record.source_ip,
        record.count,
        record.disposition,
        record.dkim,
        record.spf,
        record.header_from,
        record.envelope_from,
        record.envelope_to,
        _dicts(record.reasons),
        _dicts(record.dkim_results),
        _dicts(record.spf_results),
    )


def _dicts(items: tuple[Any, ...]) -> list[dict[str, Any]] | None:
    return [item._asdict() for item in items] or None


def _policy(position: int, policy: Policy) -> tuple[Any, ...]:
    failures: Iterator[dict[str, Any]] = (
        {name: getattr(failure, name) for name in _FAILURE_FIELDS} for failure in policy.failures
    )
    return (
        position,
        policy.type[:32],
        policy.domain[:253],
        list(policy.strings),
        list(policy.mx_hosts),
        policy.successful,
        policy.failed,
        list(failures),
    )


_FAILURE_FIELDS = (
    *("result_type", "sessions", "sending_ip", "mx", "mx_helo", "receiving_ip"),
    *("information", "reason_code"),
)
