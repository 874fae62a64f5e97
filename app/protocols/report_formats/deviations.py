"""Deviations of a report that do not cost the report: warnings, and records that were skipped.

A warning is a stable code with a text for people. A record that cannot be read is skipped with the
code of its reason; the codes of reasons are those of ``ReportRejected``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The texts of the warnings by their codes, which are stored and never change their meaning.
WARNINGS: Mapping[str, str] = {
    "auth_results_missing": "A record has no auth_results: the SPF and DKIM results are unknown.",
    "blank_before_declaration": "White space precedes the XML declaration.",
    "count_format": "A count has thousands separators.",
    "count_zero": "A record has count 0.",
    "data_after_archive": "Data after the end of the compressed file was ignored.",
    "date_format": "A date is not a whole number of seconds since 1970.",
    "dates_swapped": "The report period begins one second after its end.",
    "disposition_missing": "A record has no disposition.",
    "disposition_unknown": "A record has a disposition that DMARC does not define.",
    "email_missing": "The report has no email address of the reporter.",
    "encoding_mismatch": "The encoding is declared as UTF-16 but is UTF-8.",
    "encoding_unknown": "The declared encoding is unknown; the report was read as UTF-8.",
    "header_from_invalid": "The header_from of a record is not a domain name.",
    "imported": "The report was imported from parsedmarc, which keeps only parts of it.",
    "imported_period": "The times of the imported report have no time zone, or are incomplete.",
    "invalid_characters": "Characters that XML forbids were removed.",
    "markup_in_text": "Text contains characters of XML markup that are not escaped.",
    "namespace_unknown": "The report is in an unknown XML namespace.",
    "nested_markup": "A text contains elements; only the text before them was read.",
    "not_well_formed": "The XML is not well-formed and was repaired.",
    "not_utf8": "Bytes that are not UTF-8 were read as windows-1252.",
    "org_name_missing": "The report has no name of the reporter.",
    "policy_missing": "The report does not say which policy was published.",
    "policy_unknown": "The published policy is not none, quarantine or reject.",
    "records_skipped": "Records that cannot be read were skipped; their messages do not count.",
    "repeated_element": "An element is repeated with another value; the first value was used.",
    "report_id_shortened": "The report id is too long and was shortened.",
    "result_missing": "A DKIM or SPF result is missing in policy_evaluated; it counts as failed.",
    "root_not_closed": "The end tag of the report is missing.",
    "source_ip_format": "An IP address is written with a port, brackets, a zone or a tag.",
    "text_around_report": "Text before or after the report was ignored.",
    "text_truncated": "A text is too long and was truncated.",
}


# Why a record of an aggregate report, or a policy or failure of a TLS report, is skipped.
REASONS: Mapping[str, str] = {
    "bad_domain": "the domain is not a valid domain name",
    "bad_number": "a number is not valid",
    "bad_source_ip": "the source address is not an IP address",
    "bad_value": "a value has another type than the standard requires",
    "field_too_long": "a value is too long",
    "missing_element": "a required value is missing",
    "repeated_element": "a value is repeated with different content",
    "too_many_results": "there are too many DKIM or SPF results",
    "unknown_namespace": "the XML namespace is unknown",
}


@dataclass(frozen=True, slots=True)
class SkippedRecords:
    """The records of a report that cannot be read; they do not count in its figures.

    count     the number of these records
    messages  the sum of their counts, of the records with a readable count
    reasons   the number of records by the code of the reason
    """

    count: int = 0
    messages: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


_NONE = SkippedRecords()


class SkippedCounter:
    """Counts the records of one report that are skipped."""

    __slots__ = ("_messages", "_reasons")

    def __init__(self) -> None:
        self._messages = 0
        self._reasons: dict[str, int] = {}

    def add(self, reason: str, messages: int | None) -> None:
        """Count a record; ``messages`` is None if its count cannot be read."""
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        self._messages += messages or 0

    def all(self) -> SkippedRecords:
        """The records that were counted, the most frequent reason first."""
        if not self._reasons:
            return _NONE
        reasons = sorted(self._reasons.items(), key=lambda item: -item[1])
        return SkippedRecords(sum(self._reasons.values()), self._messages, dict(reasons))


def describe(warning: str) -> str:
    """The text of a warning; a report from an earlier release has the text itself."""
    return WARNINGS.get(warning, warning)


def describe_reason(reason: str) -> str:
    """The text of a reason why a record is skipped."""
    return REASONS.get(reason, reason)
