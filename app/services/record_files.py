"""Records of aggregate reports as the API tells them, and as they are in files."""

from collections.abc import Sequence
from typing import Any

from app import ids
from app.protocols import timestamps

_RECORD = (
    "position", "sourceIp", "count", "result", "disposition", "dkim", "spf", "headerFrom",
    "envelopeFrom", "envelopeTo", "reasons", "dkimResults", "spfResults",
)  # fmt: skip
_REPORT = ("id", "reporter", "reportId", "beginAt", "endAt", "days", "provenance")
# Those of a domain's records in a table, each a path of keys.
COLUMNS: Sequence[Sequence[str]] = (
    *((name,) for name in _RECORD),
    ("at",),
    ("counted",),
    *(("report", name) for name in _REPORT),
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
        "counted": counted,
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


def _word(passed: bool) -> str:
    return "pass" if passed else "fail"
