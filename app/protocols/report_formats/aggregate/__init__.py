"""DMARC aggregate reports about the mail that a receiver got (RFC 9990, RFC 7489 §7.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.protocols.report_formats.aggregate import fast_path, repair, xml
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.head import Head
from app.protocols.report_formats.aggregate.head import PublishedPolicy as PublishedPolicy
from app.protocols.report_formats.aggregate.records import DkimResult as DkimResult
from app.protocols.report_formats.aggregate.records import Reason as Reason
from app.protocols.report_formats.aggregate.records import Record as Record
from app.protocols.report_formats.aggregate.records import Records
from app.protocols.report_formats.aggregate.records import SpfResult as SpfResult
from app.protocols.report_formats.aggregate.xml import Contents
from app.protocols.report_formats.deviations import SkippedRecords
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One aggregate report.

    begin, end  seconds since 1970, UTC
    errors      errors that the reporter states
    warnings    codes of deviations that the parser tolerated, see ``deviations.WARNINGS``
    skipped     records that cannot be read, which ``records`` does not contain
    """

    org_name: str
    email: str
    contact: str | None
    report_id: str
    begin: int
    end: int
    policy: PublishedPolicy
    generator: str | None
    namespace: str | None
    version: str | None
    errors: tuple[str, ...]
    records: Sequence[Record]
    warnings: tuple[str, ...]
    skipped: SkippedRecords = field(default_factory=SkippedRecords)


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> AggregateReport:
    """The aggregate report in an XML document.

    A report without records is valid: the receiver got no mail.

    now     seconds since 1970; a report must not end more than a day in the future
    raises  ReportRejected
    source  RFC 9990 §3.1 and §A; known deviations of reporters are tolerated
    """
    records, contents = _read(document, limits)
    for _ in range(contents.foreign):
        records.skip("unknown_namespace", "the records are in an unknown namespace")
    records.finish()
    warnings = records.warnings
    for tolerated in contents.tolerated:
        warnings.add(tolerated)
    head = Head(contents.head, limits, warnings)
    errors = map(values.text, contents.errors)
    return assembled(head, records, now, errors, contents.namespace)


def assembled(
    head: Head, records: Records, now: int, errors: Iterable[str], namespace: str | None
) -> AggregateReport:
    """The report with these records.

    now     as for ``parse``
    raises  ReportRejected
    """
    begin, end = head.period(now)
    org_name, email = head.reporter()
    return AggregateReport(
        org_name=org_name,
        email=email,
        contact=head.optional("extra_contact_info"),
        report_id=head.report_id(),
        begin=begin,
        end=end,
        policy=head.policy(),
        generator=head.optional("generator"),
        namespace=namespace,
        version=head.optional("version"),
        errors=tuple(filter(None, errors)),
        records=records.all,
        warnings=records.warnings.all(),
        skipped=records.skipped.all(),
    )


def _read(document: bytes, limits: Limits) -> tuple[Records, Contents]:
    """The records and the other elements; a document that is not quite XML is repaired first."""
    try:
        return _read_unchanged(document, limits)
    except ReportRejected as rejected:
        if rejected.reason not in repair.REPAIRABLE:
            raise
        for repaired in repair.attempts(document, limits):
            try:
                records, contents = _read_unchanged(repaired.document, limits)
            except ReportRejected as again:
                if again.reason not in repair.REPAIRABLE:
                    raise
            else:
                contents.tolerated.update(repaired.tolerated)
                return records, contents
        raise


def _read_unchanged(document: bytes, limits: Limits) -> tuple[Records, Contents]:
    """The records and the other elements, by the fast path if possible, else by the XML parser."""
    records = Records(limits)
    try:
        return records, fast_path.read(document, records, limits)
    except fast_path.NotSupported:
        pass
    except ReportRejected as refused:
        if refused.reason != "not_well_formed":  # only the XML parser knows the position
            raise
    records = Records(limits)
    return records, xml.read(document, records.add, limits)
