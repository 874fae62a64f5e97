"""What a report file may cost at most, and how one is refused that would cost more or is none."""

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


class ReportRejected(ValueError):
    """The file, or one report in it, cannot be taken for a report.

    reason  a word in snake case, for machines; it never changes its meaning
    detail  what was wrong where, for people; nothing of the file that is longer than a word
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one file may hold; each is the bound of one reason to refuse.

    message           octets of a mail, where one is received
    inflated          octets of all reports of a file together
    ratio             inflated octets for each one that came, once ``ratio_from`` were inflated
    zip_used          of a zip's entries, those that are inflated
    xml_passed_over   elements that mean nothing in a report
    xml_recoded       octets of XML that is not in UTF-8
    token             octets of one piece of XML mark-up
    field             characters of one value
    """

    message: int = 25 * MIB
    inflated: int = 96 * MIB
    ratio: int = 200
    ratio_from: int = MIB
    zip_entries: int = 100
    zip_used: int = 10
    mime_depth: int = 20
    mime_parts: int = 100
    mime_headers: int = 256 * KIB
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
