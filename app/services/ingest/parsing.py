"""What is in a file of reports, read whole before anything is written."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from app.protocols.report_formats import aggregate as report_formats_aggregate
from app.protocols.report_formats import failure as report_formats_failure
from app.protocols.report_formats import tls as report_formats_tls
from app.protocols.report_formats import unwrap
from app.protocols.report_formats.aggregate import AggregateReport
from app.protocols.report_formats.failure import FailureReport
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.tls import TlsReport
from app.protocols.report_formats.unwrap import Entry
from app.services.ingest.authenticity import Author, Guard

PARSER_VERSION = 1  # of everything that decides the outcome of a file
_DIGEST_BATCH_SIZE = 1_000
_MAX_LABEL = 300

Report = AggregateReport | TlsReport | FailureReport


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """One report of a file, or why it is none.

    member  its label among the reports of the file; "" for the first
    digest  of what was read: it is the same however the report was wrapped
    author  of the mail around it, if anything can be told
    """

    entry: str
    kind: str | None
    report: Report | None
    digest: bytes = b""
    rejected: ReportRejected | None = None
    author: Author | None = None

    @property
    def size(self) -> int:
        """How many records there are in it."""
        return len(self.report.records) if isinstance(self.report, AggregateReport) else 1

    @property
    def policy_domains(self) -> Sequence[str]:
        """The domains that the report may be about, the likeliest first."""
        report = self.report
        if isinstance(report, AggregateReport):
            return [report.policy.domain]
        if isinstance(report, FailureReport):
            return [name for name in (*report.reported_domains, report.header_from) if name]
        # Of a TLSA policy it is the MX host (RFC 8460 §4.4), which may belong to anyone.
        policies = sorted(report.policies if report else (), key=lambda p: p.type == "tlsa")
        return [policy.domain for policy in policies if policy.domain]

    @classmethod
    def rejected_as(cls, reason: str, detail: str) -> "ParsedReport":
        """Nothing in the file can be used."""
        return cls("", None, None, rejected=ReportRejected(reason, detail))


def read(
    raw: bytes, member: str, now: int, guard: Guard = lambda _: nullcontext()
) -> Sequence[ParsedReport]:
    """Every report of the file, in order; with ``member`` only the one of that label.

    now     in epoch seconds: what lies far behind it cannot have been observed
    guard   entered around unwrapping, and around parsing what was unwrapped, which may be larger
    raises  Refused for what spoils the whole file; what the guard raises
    """
    with guard(len(raw)):
        members = unwrap.unwrap(raw)
    with guard(sum(len(part.document) + len(part.original) for part in members)):
        return [
            _parse(label, found, now)
            for label, found in _labelled(members)
            if not member or label == member
        ]


def _labelled(members: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for index, member in enumerate(members):
        label = f"{index}:{member.path}" if index else ""
        yield label[:_MAX_LABEL], member


def _parse(label: str, member: Entry, now: int) -> ParsedReport:
    try:
        if member.rejected is not None:
            raise member.rejected
        if member.kind == "dmarc":
            aggregate = report_formats_aggregate.parse(member.document, now)
            return ParsedReport(label, "dmarc", aggregate, _digest_of_aggregate(aggregate))
        if member.kind == "failure":
            failure = report_formats_failure.parse(member.document, member.original, now)
            return ParsedReport(label, "failure", failure, _digest(failure))
        tls = report_formats_tls.parse(member.document, now)
        return ParsedReport(label, "tls", tls, _digest(tls))
    except ReportRejected as refused:
        return ParsedReport(label, member.kind, None, rejected=refused)


def _digest(report: TlsReport | FailureReport) -> bytes:
    return hashlib.sha256(repr(dataclasses.replace(report, warnings=())).encode()).digest()


def _digest_of_aggregate(report: AggregateReport) -> bytes:
    head = dataclasses.replace(report, records=(), warnings=())
    digest = hashlib.sha256(repr(head).encode())
    for start in range(0, len(report.records), _DIGEST_BATCH_SIZE):
        digest.update(json.dumps(report.records[start : start + _DIGEST_BATCH_SIZE]).encode())
    return digest.digest()
