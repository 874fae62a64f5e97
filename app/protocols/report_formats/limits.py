"""The limits for report files, and the exception for files that exceed them or are no reports."""

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


class ReportRejected(ValueError):
    """The file, or one report in it, is rejected.

    reason  a code in snake case for programs; it never changes its meaning
    detail  what is wrong and where, for people; it quotes at most a word of the file
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class FileRejected(ReportRejected):
    """The whole file is rejected, because it exceeds a limit for all its contents together."""


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, for the caches by limits
class Limits:
    """The maximum for one report file; each limit belongs to one reason for rejection.

    message           bytes of a received message
    inflated          bytes of all contents of a file together
    ratio             inflated bytes per compressed byte, once ``ratio_from`` bytes are inflated
    archive_depth     archives and compressed files in one another
    archive_entries   entries in the directories of all archives, folders included
    members           files in all archives together
    mails             messages in a file, attached ones included
    mime_headers      bytes of the headers of one message
    mime_headers_all  bytes of the headers of all messages of a file
    xml_passed_over   unknown XML elements that are skipped
    xml_recoded       bytes of XML that is not in UTF-8
    token             bytes of one piece of XML markup
    field             characters of one value
    """

    message: int = 25 * MIB
    inflated: int = 96 * MIB
    ratio: int = 200
    ratio_from: int = MIB
    archive_depth: int = 4
    archive_entries: int = 4_000
    members: int = 1_000
    mails: int = 1_000
    mime_depth: int = 20
    mime_parts: int = 10_000
    mime_headers: int = 256 * KIB
    mime_headers_all: int = 16 * MIB
    xml_depth: int = 32
    xml_attributes: int = 64
    xml_passed_over: int = 1_000_000
    xml_recoded: int = 16 * MIB
    token: int = 64 * KIB
    field: int = KIB
    report_id: int = 255
    records: int = 200_000
    results: int = 1_000
    json_depth: int = 64
    json_values: int = 300_000
    integer: int = 10**12
    future_seconds: int = 24 * 3600
    span_seconds: int = 31 * 24 * 3600


LIMITS = Limits()
