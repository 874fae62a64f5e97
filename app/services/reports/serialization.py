"""Records of reports as JSON, for the API and for exports."""

from collections.abc import Sequence
from typing import Any

from app import ids
from app.models.stored_json import StoredTlsFailure
from app.protocols import timestamps
from app.services.reports.dmarc_records import CountedRecord

_RECORD = (
    "position",
    "sourceIp",
    "count",
    "result",
    "disposition",
    "dkim",
    "spf",
    "headerFrom",
    "envelopeFrom",
    "envelopeTo",
    "reasons",
    "dkimResults",
    "spfResults",
)
_REPORT = ("id", "reporter", "reportId", "beginAt", "endAt", "days", "partial", "provenance")
# The columns of an export of a domain's records, each a path of keys.
COLUMNS: Sequence[Sequence[str]] = (
    *((name,) for name in _RECORD),
    ("at",),
    ("countInPeriod",),
    *(("report", name) for name in _REPORT),
)
_POLICY = ("position", "at", "policyType", "policyDomain", "successful", "failed")
_TLS_REPORT = (
    *("id", "reporter", "organization", "reportId", "beginAt", "endAt", "partial"),
    "provenance",
)
# The columns of an export of a domain's TLS report records.
TLS_COLUMNS: Sequence[Sequence[str]] = (
    *((name,) for name in _POLICY),
    *((name,) for name in ("failedSessions", "failureCount", "failures")),
    *(("report", name) for name in _TLS_REPORT),
)


def of_report(row: Any) -> dict[str, Any]:
    """Return a row of ``dmarc_records.of_report``."""
    return {
        "position": row.position,
        "sourceIp": row.source_ip,
        "count": row.count,
        "result": _result(row.dkim or row.spf),
        "disposition": row.disposition,
        "dkim": _result(row.dkim),
        "spf": _result(row.spf),
        "headerFrom": row.header_from,
        "envelopeFrom": row.envelope_from,
        "envelopeTo": row.envelope_to,
        "reasons": row.reasons or [],
        "dkimResults": row.dkim_results or [],
        "spfResults": row.spf_results or [],
    }


def of_domain(counted: CountedRecord) -> dict[str, Any]:
    """Return a row of ``dmarc_records.of_domain`` with its report."""
    row = counted.record
    return {
        "at": timestamps.text(row.at),
        "countInPeriod": counted.messages,
        **of_report(row),
        "report": {
            "id": ids.public("dmr", row.report_id),
            "reporter": row.reporter,
            "reportId": row.named,
            "beginAt": timestamps.text(row.begin_at),
            "endAt": timestamps.text(row.end_at),
            "days": row.days,
            "partial": row.is_partial,
            "provenance": row.provenance,
        },
    }


def of_policy(row: Any) -> dict[str, Any]:
    """Return a row of ``tls_records.of_domain``: a policy of a TLS report."""
    return {
        "position": row.position,
        "at": timestamps.text(row.at),
        "policyType": row.policy_type,
        "policyDomain": row.policy_domain,
        "successful": row.successful,
        "failed": row.failed,
        "failedSessions": row.failed_sessions,
        "failureCount": row.failure_count,
        "failures": [failure(item) for item in row.failures or []],
        "report": {
            "id": ids.public("tlr", row.report_id),
            "reporter": row.reporter,
            "organization": row.organization,
            "reportId": row.named,
            "beginAt": timestamps.text(row.begin_at),
            "endAt": timestamps.text(row.end_at),
            "partial": row.is_partial,
            "provenance": row.provenance,
        },
    }


def failure(stored: StoredTlsFailure) -> dict[str, Any]:
    """Return sessions of a TLS report that failed in the same way."""
    return {
        "resultType": stored["result_type"],
        "sessions": stored["sessions"],
        "sendingIp": stored["sending_ip"],
        "mx": stored["mx"],
        "mxHelo": stored["mx_helo"],
        "receivingIp": stored["receiving_ip"],
        "information": stored["information"],
        "reasonCode": stored["reason_code"],
    }


def _result(passed: bool) -> str:
    return "pass" if passed else "fail"
