"""Alerts on reporters whose reports contain many records that cannot be read."""

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.drafts import MAX_SAMPLES, percent
from app.rules.reports.posture import ReadReports, ReportPosture

MIN_SKIPPED, MAX_SHARE = 10, 0.05
MAX_REASONS = 10
_NAMES = {"dmarc": ("records", "messages"), "tls": ("policies and failures", "sessions")}
_TEXTS = {"dmarc": "DMARC reports", "tls": "TLS reports"}


def _partial(posture: ReportPosture) -> list[AlertDraft] | None:
    if not posture.read_reports:
        return None
    return [
        _draft(posture, reports)
        for reports in posture.read_reports
        if reports.skipped_records >= MIN_SKIPPED and reports.skipped_share > MAX_SHARE
    ][:MAX_SAMPLES]


def _draft(posture: ReportPosture, reports: ReadReports) -> AlertDraft:
    records, messages = _NAMES[reports.kind]
    return AlertDraft(
        type="report.partial_rate",
        subject=f"{reports.kind}:{reports.reporter}",
        severity=Severity.MEDIUM,
        title="Reports can only be read in part",
        message=f"{posture.domain}: {reports.partial_reports} of {reports.reports} "
        f"{_TEXTS[reports.kind]} of the last 7 days from {reports.reporter} have {records} that "
        f"cannot be read ({percent(reports.skipped_share)}). The analytics lack "
        f"{reports.skipped_records} {records} with {reports.skipped_messages} {messages}. Update "
        "mailwatch, and process the files of the reports again. If that does not help, tell the "
        "reporter.",
        evidence={
            "observed": {
                "reporter": reports.reporter,
                "kind": reports.kind,
                "reports": reports.reports,
                "partialReports": reports.partial_reports,
                "records": reports.records,
                "messages": reports.messages,
                "skippedRecords": reports.skipped_records,
                "skippedMessages": reports.skipped_messages,
                "share": round(reports.skipped_share, 4),
                "reasons": dict(list(reports.reasons.items())[:MAX_REASONS]),
            },
            "threshold": {"share": MAX_SHARE, "records": MIN_SKIPPED},
        },
    )


RULES: tuple[Rule[ReportPosture], ...] = (Rule(frozenset(("report.partial_rate",)), _partial),)
