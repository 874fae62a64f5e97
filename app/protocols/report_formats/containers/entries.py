"""The reports in a file, as they were unwrapped."""

from typing import Literal, NamedTuple

from app.protocols.report_formats.limits import ReportRejected

ReportFormat = Literal["dmarc", "tls", "failure"]


class Entry(NamedTuple):
    """One report in a file, or the reason why it could not be unwrapped.

    path      its position: numbers of parts and entries; "" if the file itself is the report
    kind      None if it was refused before its kind was known
    document  the report's XML or JSON; for a failure report, the feedback part
    original  for a failure report: the headers of the failed message
    rejected  the reason if there is no document
    header    of the message that contains it; b"" if none does
    file_name of the message part that contains it; "" if it has none
    warnings  deviations that were tolerated while unwrapping
    is_imported  the report is in the output of another product
    """

    path: str
    kind: ReportFormat | None
    document: bytes = b""
    original: bytes = b""
    rejected: ReportRejected | None = None
    header: bytes = b""
    file_name: str = ""
    warnings: tuple[str, ...] = ()
    is_imported: bool = False


class OnlyEntryRejected(ReportRejected):
    """The only report of a file is rejected; ``entry`` has what the file says about it."""

    def __init__(self, entry: Entry, rejected: ReportRejected) -> None:
        super().__init__(rejected.reason, rejected.detail)
        self.entry = entry
