"""Parsing of report files; a file is parsed completely before anything is stored."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from app.protocols.report_formats import aggregate as report_formats_aggregate
from app.protocols.report_formats import failure as report_formats_failure
from app.protocols.report_formats import origin
from app.protocols.report_formats.aggregate import AggregateReport, figures
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.containers.entries import Entry, OnlyEntryRejected
from app.protocols.report_formats.failure import FailureReport
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.origin import Origin
from app.protocols.report_formats.parsedmarc import aggregate as parsedmarc
from app.protocols.report_formats.tls_rpt import tls as report_formats_tls
from app.protocols.report_formats.tls_rpt import tls_addressee, tls_figures
from app.protocols.report_formats.tls_rpt.tls import Policy, TlsReport
from app.services.ingest.authenticity import Author, Guard

PARSER_VERSION = 2  # of everything that decides the outcome of a file
_MAX_LABEL = 300
_ENTRY_CHANGED = (
    "This version reads the file differently. Reprocess the first entry of the same file"
)

Report = AggregateReport | TlsReport | FailureReport


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """One report of a file, or the reason why it was rejected.

    entry   the label of the report in the file; "" for the first
    digest  of the parsed content, so that it does not depend on how the report was wrapped
    author  of the mail that contained it, if proven or disproven
    named   the domains that a TLS report is about, by its mail or its file name
    origin  what the file says about its sender; None if the file was not opened
    is_imported  it is in the output of another product
    rows    the cells of its records or policies, see ``rows.with_rows``
    """

    entry: str
    kind: str | None
    report: Report | None
    digest: bytes = b""
    rejected: ReportRejected | None = None
    author: Author | None = None
    named: Sequence[str] = ()
    origin: Origin | None = None
    is_imported: bool = False
    rows: Sequence[tuple[Any, ...]] | None = None

    @property
    def size(self) -> int:
        """The number of records."""
        return len(self.report.records) if isinstance(self.report, AggregateReport) else 1

    @property
    def skipped(self) -> int:
        """The number of records that could not be read; for TLS of policies and failures."""
        report = self.report
        if isinstance(report, AggregateReport):
            return report.skipped.count
        if isinstance(report, TlsReport):
            return report.skipped.policies + report.skipped.details
        return 0

    @property
    def policy_domains(self) -> Sequence[str]:
        """The domains that the report may be about, the most likely first."""
        report = self.report
        if isinstance(report, AggregateReport):
            return [report.policy.domain]
        if isinstance(report, FailureReport):
            return report.policy_domains
        return _domains_of_tls(report.policies if report else (), self.named)

    @classmethod
    def rejected_as(cls, reason: str, detail: str, origin: Origin | None = None) -> "ParsedReport":
        """Return the rejection of a whole file."""
        rejected = ReportRejected(reason, detail)
        return cls(entry="", kind=None, report=None, rejected=rejected, origin=origin)


def read(
    raw: bytes,
    entry: str,
    now: int,
    guard: Guard = lambda _: nullcontext(),
    file_name: str = "",
) -> Sequence[ParsedReport]:
    """Return the reports of the file in order.

    entry   the label of the only report to return; "" for all reports
    now     in epoch seconds; reports about later times are rejected
    file_name  as the sender named the file
    guard   entered around unwrapping, and around parsing the unwrapped content, which may be larger
    raises  ReportRejected if a limit is exceeded, or no report has this label; the errors of the
            guard
    """
    try:
        with guard(len(raw)):
            entries = unwrap.unwrap(raw)
    except OnlyEntryRejected as only:
        return [_parse(entry, only.entry, now, file_name)]
    with guard(sum(len(part.document) + len(part.original) for part in entries)):
        reports = [
            _parse(label, part, now, file_name)
            for label, part in _labelled(entries)
            if not entry or label == entry
        ]
    if not reports:  # another version of the parser numbered the reports differently
        raise ReportRejected("entry_changed", _ENTRY_CHANGED)
    return reports


def _labelled(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for index, entry in enumerate(entries):
        label = f"{index}:{entry.path}" if index else ""
        yield label[:_MAX_LABEL], entry


def _parse(label: str, entry: Entry, now: int, file_name: str) -> ParsedReport:
    report: Report
    named: Sequence[str] = ()
    try:
        if entry.rejected is not None:
            raise entry.rejected
        if entry.kind == "dmarc":
            parse = parsedmarc.parse if entry.is_imported else report_formats_aggregate.parse
            report = parse(entry.document, now)
            digest = figures.digest(report.records, report.skipped)
        elif entry.kind == "failure":
            report = report_formats_failure.parse(entry.document, entry.original, now)
            digest = report_formats_failure.digest(entry.document, entry.original)
        else:
            report = report_formats_tls.parse(entry.document, now)
            digest = tls_figures.digest(report)
            named = tls_addressee.domains(entry.header, (entry.file_name, file_name))
    except ReportRejected as rejected:
        source = origin.of_entry(entry, file_name, is_read=False)
        return ParsedReport(
            entry=label, kind=entry.kind, report=None, rejected=rejected, origin=source
        )
    if entry.warnings:
        report = dataclasses.replace(report, warnings=(*report.warnings, *entry.warnings))
    kind = entry.kind if entry.kind in ("dmarc", "failure") else "tls"
    return ParsedReport(
        entry=label,
        kind=kind,
        report=report,
        digest=digest,
        named=named,
        origin=origin.of_entry(entry, file_name, is_read=True),
        is_imported=entry.is_imported,
    )


def _domains_of_tls(policies: Sequence[Policy], named: Sequence[str]) -> Sequence[str]:
    """The domains that a TLS report may be about, the most likely first.

    A policy of type sts names the recipient domain; one of type tlsa names the MX host (RFC 8460
    §4.4), which may belong to anyone, and others name either or nothing.
    """
    by_certainty: tuple[list[str], ...] = ([], list(named), [], [])
    for policy in policies:
        is_mx = policy.type == "tlsa" or policy.domain in policy.mx_hosts
        by_certainty[3 if is_mx else 0 if policy.type == "sts" else 2].append(policy.domain)
    return list(dict.fromkeys(name for names in by_certainty for name in names if name))
