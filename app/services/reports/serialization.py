"""Records of reports as the API tells them, and as they are in files."""

from collections.abc import Mapping, Sequence
from typing import Any

from app import ids
from app.protocols import timestamps

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
_REPORT = ("id", "reporter", "reportId", "beginAt", "endAt", "days", "provenance")
# Those of a domain's records in a table, each a path of keys.
COLUMNS: Sequence[Sequence[str]] = (
    *((name,) for name in _RECORD),
    ("at",),
    ("countInPeriod",),
    *(("report", name) for name in _REPORT),
)
_POLICY = ("position", "at", "policyType", "policyDomain", "successful", "failed")
_TLS_REPORT = ("id", "reporter", "organization", "reportId", "beginAt", "endAt", "provenance")
# Those of a domain's policies in TLS reports.
TLS_COLUMNS: Sequence[Sequence[str]] = (
    *((name,) for name in _POLICY),
    *((name,) for name in ("failedSessions", "failureCount", "failures")),
    *(("report", name) for name in _TLS_REPORT),
)


def of_report(row: Any) -> dict[str, Any]:
    """A row of ``records.of_report``."""
    return {
        "position": row.position,
        "sourceIp": row.source_ip,
        "count": row.count,
        "result": _word(row.dkim or row.spf),
        "disposition": row.disposition,
        "dkim": _word(row.dkim),
        "spf": _word(row.spf),
        "headerFrom": row.header_from,
        "envelopeFrom": row.envelope_from,
        "envelopeTo": row.envelope_to,
        "reasons": row.reasons or [],
        "dkimResults": row.dkim_results or [],
        "spfResults": row.spf_results or [],
    }


def of_domain(row: Any, counted: int) -> dict[str, Any]:
    """A row of ``records.of_domain`` with its report; ``counted``: its messages in the window."""
    return {
        "at": timestamps.text(row.at),
        "countInPeriod": counted,
        **of_report(row),
        "report": {
            "id": ids.public("dmr", row.report_id),
            "reporter": row.reporter,
            "reportId": row.named,
            "beginAt": timestamps.text(row.begin_at),
            "endAt": timestamps.text(row.end_at),
            "days": row.days,
            "provenance": row.provenance,
        },
    }


def of_policy(row: Any) -> dict[str, Any]:
    """A row of ``tls_records.of_domain``: a policy of a TLS report."""
    return {
        "position": row.position,
        "at": timestamps.text(row.at),
        "policyType": row.policy_type,
        "policyDomain": row.policy_domain,
        "successful": row.successful,
        "failed": row.failed,
        "failedSessions": row.failed_sessions,
        "failureCount": row.failure_count,
        "failures": [failure(one) for one in row.failures or []],
        "report": {
            "id": ids.public("tlr", row.report_id),
            "reporter": row.reporter,
            "organization": row.organization,
            "reportId": row.named,
            "beginAt": timestamps.text(row.begin_at),
            "endAt": timestamps.text(row.end_at),
            "provenance": row.provenance,
        },
    }


def failure(found: Mapping[str, Any]) -> dict[str, Any]:
    """Sessions that failed in one way, as a policy of a TLS report has them."""
    return {
        "resultType": found["result_type"],
        "sessions": found["sessions"],
        "sendingIp": found["sending_ip"],
        "mx": found["mx"],
        "mxHelo": found["mx_helo"],
        "receivingIp": found["receiving_ip"],
        "information": found["information"],
        "reasonCode": found["reason_code"],
    }


def _word(passed: bool) -> str:
    return "pass" if passed else "fail"
