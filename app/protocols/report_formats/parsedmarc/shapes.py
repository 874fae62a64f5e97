"""The shapes in which parsedmarc writes reports, as the one of its JSON files.

An Elasticsearch document and a CSV row are a report with one record.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

_METADATA = (
    *("org_name", "org_email", "org_extra_contact_info", "report_id", "errors", "generator"),
)
POLICY_TAGS = (
    *("domain", "adkim", "aspf", "p", "sp", "np", "pct", "fo", "testing", "discovery_method"),
)
_IDENTIFIERS = ("header_from", "envelope_from", "envelope_to")
_DKIM, _SPF = ("domain", "selector", "result"), ("domain", "scope", "result")


def unpacked(value: object) -> Iterator[Object]:
    """The reports in a value: in a list, in search results, or in the results of one run."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        elif isinstance(value, dict):
            inner = [value[key] for key in _containers(value) if value.get(key)]
            if inner:
                pending.extend(reversed(inner))
            elif not _is_action(value):
                yield value


def _containers(value: Object) -> Sequence[str]:
    if "_source" in value:
        return ("_source",)
    if "report_type" in value and "report" in value:
        return ("report",)
    if "records" in value or "policies" in value:
        return ()
    return ("hits", "aggregate_reports", "failure_reports", "forensic_reports", "smtp_tls_reports")


def _is_action(value: Object) -> bool:
    """Whether this is a line of the bulk format that precedes a document, or an empty result."""
    return not value or value.keys() <= {"index", "create"} or "took" in value or "total" in value


def is_failure(value: Object) -> bool:
    """Whether this is a failure report."""
    return "feedback_type" in value or "parsed_sample" in value or "sample" in value


def is_tls(value: Object) -> bool:
    """Whether this is a TLS report."""
    return "policies" in value


def is_record(value: Object) -> bool:
    """Whether this is one record of a report."""
    return "source_ip_address" in value


def report_of(value: Object) -> Object:
    """The report with the one record of an Elasticsearch document or of a CSV row."""
    is_row = "published_policy" not in value
    policy = value if is_row else mapping(value.get("published_policy"))
    begin, end = _interval(value)
    alignment = {"dkim": value.get("dkim_aligned"), "spf": value.get("spf_aligned")}
    record = {
        "source": {"ip_address": value.get("source_ip_address")},
        "count": value.get("count" if is_row else "message_count"),
        "policy_evaluated": {
            "disposition": value.get("disposition"),
            **{key: "pass" if _is_true(passed) else "fail" for key, passed in alignment.items()},
            "policy_override_reasons": _reasons_of_row(value)
            if is_row
            else value.get("policy_overrides"),
        },
        "identifiers": {key: value.get(key) for key in _IDENTIFIERS},
        "auth_results": {
            "dkim": _results(value, "dkim", _DKIM) if is_row else value.get("dkim_results"),
            "spf": _results(value, "spf", _SPF) if is_row else value.get("spf_results"),
        },
        "normalized_timespan": _is_true(value.get("normalized_timespan")),
    }
    if not is_row or "normalized_timespan" in value:  # else the times are local
        record |= {"interval_begin": begin, "interval_end": end}
    return {
        "xml_schema": value.get("xml_schema"),
        "report_metadata": {
            **{key: value.get(key) for key in _METADATA},
            "begin_date": begin,
            "end_date": end,
        },
        "policy_published": {key: policy.get(key) for key in POLICY_TAGS},
        "records": [record],
    }


def tls_report(value: Object) -> Object:
    """A TLS report as in RFC 8460 §4.4."""
    begin, end = _interval(value)
    return {
        "organization-name": value.get("organization_name", value.get("org_name")),
        "contact-info": value.get("contact_info"),
        "report-id": value.get("report_id"),
        "date-range": {"start-datetime": begin, "end-datetime": end},
        "policies": [
            _tls_policy(policy) for policy in elements(value.get("policies")) if mapping(policy)
        ],
    }


def _tls_policy(policy: Object) -> Object:
    failures = [mapping(detail) for detail in elements(policy.get("failure_details"))]
    return {
        "policy": {
            "policy-type": policy.get("policy_type"),
            "policy-domain": policy.get("policy_domain"),
            "policy-string": policy.get("policy_strings") or policy.get("policy_string"),
            "mx-host": policy.get("mx_host_patterns"),
        },
        "summary": {
            "total-successful-session-count": policy.get("successful_session_count"),
            "total-failure-session-count": policy.get("failed_session_count"),
        },
        "failure-details": [
            {
                "result-type": detail.get("result_type"),
                "sending-mta-ip": detail.get("sending_mta_ip") or detail.get("ip_address"),
                "receiving-mx-hostname": detail.get("receiving_mx_hostname"),
                "receiving-mx-helo": detail.get("receiving_mx_helo"),
                "receiving-ip": detail.get("receiving_ip"),
                "additional-information": detail.get("additional_info_uri"),
                "failure-reason-code": detail.get("failure_reason_code"),
                "failed-session-count": detail.get("failed_session_count"),
            }
            for detail in failures
        ],
    }


def _interval(value: Object) -> tuple[Any, Any]:
    dates = elements(value.get("date_range"))
    first, last = (dates[0], dates[-1]) if dates else (None, None)
    begin = value.get("begin_date") or value.get("date_begin") or first
    return begin, value.get("end_date") or value.get("date_end") or last


def _reasons_of_row(row: Object) -> list[Object]:
    kinds = _split(row.get("policy_override_reasons"), ",")
    comments = _split(row.get("policy_override_comments"), "|")
    if len(comments) != len(kinds):  # a comment has the separator
        comments = [""] * len(kinds)
    pairs = zip(kinds, comments, strict=True)
    return [{"type": kind, "comment": comment} for kind, comment in pairs]


def _results(row: Object, name: str, keys: Sequence[str]) -> list[Object]:
    """The results of a CSV row, which has each of their members in one cell."""
    columns = {key: _split(row.get(f"{name}_{key}s"), ",") for key in keys}
    size = len(columns["result"])
    return [
        {key: values[index] if len(values) == size else None for key, values in columns.items()}
        for index in range(size)
    ]


def _split(cell: object, separator: str) -> list[str]:
    return cell.split(separator) if isinstance(cell, str) and cell else []


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def elements(value: object) -> list[Any]:
    """The elements of the value if it is an array; else none."""
    return value if isinstance(value, list) else []
