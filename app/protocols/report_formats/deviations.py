"""Deviations of a report that do not cost the report: warnings, and records that were skipped.

A warning is a stable code with a text for people; if the text names a member or a header field, it
follows the code after a colon. A record that cannot be read is skipped with the
code of its reason; the codes of reasons are those of ``ReportRejected``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The texts of the warnings by their codes, which are stored and never change their meaning.
WARNINGS: Mapping[str, str] = {
    "array_for_object": "{subject} is an array with one object instead of the object.",
    "arrival_date_invalid": "The arrival date is not a valid date in the past, and is unknown.",
    "auth_results_missing": "A record has no auth_results: the SPF and DKIM results are unknown.",
    "bad_number": "{subject} is not a valid number.",
    "blank_before_declaration": "White space precedes the XML declaration.",
    "count_format": "A count has thousands separators.",
    "count_missing": "{subject} is missing; 0 is assumed.",
    "count_zero": "A record has count 0.",
    "data_after_archive": "Data after the end of the compressed file was ignored.",
    "date_format": "A date is not a whole number of seconds since 1970.",
    "dates_swapped": "The report period begins one second after its end.",
    "disposition_missing": "A record has no disposition.",
    "disposition_unknown": "A record has a disposition that DMARC does not define.",
    "email_missing": "The report has no email address of the reporter.",
    "encoding_mismatch": "The encoding is declared as UTF-16 but is UTF-8.",
    "encoding_unknown": "The declared encoding is unknown; the report was read as UTF-8.",
    "failed_sessions_missing": "The number of failed sessions is missing; the details have it.",
    "failure_details_skipped": "Failure details that cannot be read were skipped.",
    "feedback_type_missing": "The feedback type is missing; an authentication failure is assumed.",
    "header_from_invalid": "The header_from of a record is not a domain name.",
    "imported": "The report was imported from parsedmarc, which keeps only parts of it.",
    "imported_period": "The times of the imported report have no time zone, or are incomplete.",
    "incidents_invalid": "The number of incidents is not a number; 1 is assumed.",
    "invalid_characters": "Characters that XML forbids were removed.",
    "markup_in_text": "Text contains characters of XML markup that are not escaped.",
    "namespace_unknown": "The report is in an unknown XML namespace.",
    "nested_markup": "A text contains elements; only the text before them was read.",
    "not_a_domain": "{subject} is not a domain name.",
    "not_a_text": "{subject} is not a text.",
    "not_an_address": "{subject} is not an IP address.",
    "not_utf8": "Bytes that are not UTF-8 were read as windows-1252.",
    "not_well_formed": "The XML is not well-formed and was repaired.",
    "object_for_array": "{subject} is an object instead of an array.",
    "org_name_missing": "The report has no name of the reporter.",
    "policies_skipped": "Policies that cannot be read were skipped; their sessions do not count.",
    "policy_domain_missing": "A policy does not name its domain.",
    "policy_missing": "The report does not say which policy was published.",
    "policy_type_missing": "A policy has no policy-type, which was read from its text.",
    "policy_type_unknown": "A policy has a policy-type that the standard does not define.",
    "policy_unknown": "The published policy is not none, quarantine or reject.",
    "records_skipped": "Records that cannot be read were skipped; their messages do not count.",
    "repeated_element": "An element is repeated with another value; the first value was used.",
    "repeated_member": "{subject} has two different values, and was not read.",
    "report_id_shortened": "The report id is too long and was shortened.",
    "result_missing": "A DKIM or SPF result is missing in policy_evaluated; it counts as failed.",
    "root_not_closed": "The end tag of the report is missing.",
    "source_ip_format": "An IP address is written with a port, brackets, a zone or a tag.",
    "string_for_number": "{subject} is a text instead of a number.",
    "text_around_report": "Text before or after the report was ignored.",
    "text_truncated": "A text is too long and was truncated.",
    "time_zone_missing": "{subject} has no time zone; UTC is assumed.",
    "too_many_values": "{subject} has too many values; the rest was ignored.",
    "trailing_comma": "The JSON has a comma after the last member.",
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
    code, _, subject = warning.partition(":")
    return WARNINGS.get(code, warning).replace("{subject}", subject)


def describe_reason(reason: str) -> str:
    """The text of a reason why a record is skipped."""
    return REASONS.get(reason, reason)
