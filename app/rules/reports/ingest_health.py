"""Alerts on the reports of a domain that are missing, and on the files and mailboxes of an account.

While report files wait to be parsed, a silent reporter is not certain, so no rule decides on it.
"""

from collections.abc import Iterable
from datetime import timedelta

from app.checks.engine.types import Severity
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.baseline import MIN_DAYS, MIN_MESSAGES
from app.rules.reports.drafts import MAX_SAMPLES, first_draft
from app.rules.reports.posture import AccountPosture, DayFiles, ReportPosture

NONE_AFTER = timedelta(days=3)
UNHEALTHY_AFTER = timedelta(hours=1)
MIN_FILES, MAX_REJECTED = 20, 0.05


def _none_received(posture: ReportPosture) -> list[AlertDraft] | None:
    if posture.rua is None or posture.is_behind:
        return None
    since = max(posture.policy_since or posture.monitored_since, posture.monitored_since)
    if not posture.rua or posture.last_report_at or posture.now - since < NONE_AFTER:
        return []
    return [
        AlertDraft(
            type="reports.none_received",
            subject=posture.domain,
            severity=Severity.HIGH,
            title="No aggregate reports received",
            message=f"{posture.domain}: the DMARC record sends aggregate reports to "
            f"{', '.join(posture.rua[:3])}, but mailwatch received none in "
            f"{quantity((posture.now - since).days, 'day')}. Check that this address is "
            f"delivered to "
            "mailwatch.",
            evidence={
                "observed": {"reports": 0, "rua": list(posture.rua[:10])},
                "threshold": {"days": NONE_AFTER.days},
                "since": since.isoformat(),
            },
            reference="RFC 9989 §4.6",
        )
    ]


def _stopped(posture: ReportPosture) -> list[AlertDraft] | None:
    """Alerts on silent reporters; those that reported little may just have nothing to report."""
    if not posture.reporters or posture.is_behind:
        return None
    return [
        AlertDraft(
            type="reports.reporter_stopped",
            subject=reporter.name,
            severity=posture.capped(Severity.MEDIUM),
            title="A reporter stopped sending reports",
            message=f"{posture.domain}: {reporter.name} reported on "
            f"{quantity(reporter.days, 'day')}, usually every "
            f"{quantity(reporter.typical_interval, 'hour')}, but sent nothing for "
            f"{quantity((posture.now_hour - reporter.last) // 24, 'day')}. If all reporters are "
            "silent, check the rua address of the DMARC record and the mailbox.",
            evidence={
                "observed": {"silentHours": posture.now_hour - reporter.last},
                "baseline": {
                    "intervalHours": reporter.typical_interval,
                    "messages": reporter.messages,
                },
            },
        )
        for reporter in posture.reporters
        if reporter.has_stopped and reporter.typical_interval is not None
        if reporter.days >= MIN_DAYS and reporter.messages >= MIN_MESSAGES
    ][:MAX_SAMPLES]


def _failure_reports(posture: ReportPosture) -> list[AlertDraft]:
    if not posture.failure_report_count:
        return []
    count = posture.failure_report_count
    return [
        AlertDraft(
            type="ruf.received",
            subject=posture.domain,
            severity=Severity.INFO,
            title="DMARC failure reports received",
            message=f"{posture.domain}: {count} failure reports arrived in the last day. Review "
            "the messages that failed.",
            evidence={"observed": {"reports": count}, "samples": list(posture.failure_reports)},
            reference="RFC 9991 §4",
        )
    ]


def _parse_failed(posture: AccountPosture) -> Iterable[AlertDraft] | None:
    """Return an alert if many files are rejected; info if only files from others are.

    Anyone can send files that are not reports.
    """
    return first_draft(
        (
            (_if_sufficient(posture.own_files), Severity.MEDIUM),
            (_if_sufficient(posture.all_files), Severity.INFO),
        ),
        _rejected,
    )


def _if_sufficient(files: DayFiles) -> DayFiles | None:
    return files if files.files >= MIN_FILES else None


def _rejected(files: DayFiles, severity: Severity) -> AlertDraft | None:
    if files.rejected / files.files <= MAX_REJECTED:
        return None
    return AlertDraft(
        type="report.parse_failed_rate",
        subject="",
        severity=severity,
        title="Many report files cannot be parsed",
        message=f"{files.rejected} of {files.files} report files of the last day "
        "could not be parsed and were rejected. Their reports are missing from the "
        "analytics. Check the reasons in the evidence.",
        evidence={
            "observed": {
                "files": files.files,
                "rejected": files.rejected,
                "reasons": dict(files.reasons),
            },
            "threshold": {"share": MAX_REJECTED},
        },
    )


def _reports(count: int) -> str:
    """The beginning of a sentence about the reports of the last week."""
    return f"The last week had {count} report{'s' if count != 1 else ''}"


def _foreign(posture: AccountPosture) -> Iterable[AlertDraft]:
    return [
        AlertDraft(
            type="report.foreign_domain",
            subject=name,
            severity=Severity.INFO,
            title="Reports received for a domain that is not verified",
            message=f"{_reports(count)} for {name}, which is not a verified domain of this "
            "account, so they are not shown. Add and verify the domain, or remove the report "
            "address from its DMARC record.",
            evidence={"observed": {"domain": name, "reports": count}},
        )
        for name, count in list(posture.foreign.items())[:MAX_SAMPLES]
    ]


def _unhealthy(posture: AccountPosture) -> Iterable[AlertDraft]:
    """Alerts on mailboxes that failed for an hour, or immediately if nothing but a person can help.

    A single failed poll is retried without loss.
    """
    return [
        AlertDraft(
            type="reports.source_unhealthy",
            subject=mailbox.id,
            severity=Severity.HIGH,
            title="Mailbox cannot be polled for reports",
            message=f"Every poll of the mailbox “{mailbox.name}” has failed since "
            f"{mailbox.failing_since:%Y-%m-%d %H:%M} UTC ({mailbox.failure}). Reports stay in the "
            "mailbox until it can be polled again.",
            evidence={
                "observed": {"failure": mailbox.failure},
                "since": mailbox.failing_since.isoformat(),
                "threshold": {"minutes": UNHEALTHY_AFTER.seconds // 60},
            },
        )
        for mailbox in posture.failing
        if mailbox.needs_sign_in or posture.now - mailbox.failing_since >= UNHEALTHY_AFTER
    ][:MAX_SAMPLES]


def _inauthentic(posture: AccountPosture) -> Iterable[AlertDraft]:
    """Info alerts on reporters whose emails failed authentication; anyone can send such emails."""
    return [
        AlertDraft(
            type="report.authenticity_failed",
            subject=reporter.reporter,
            severity=Severity.INFO,
            title="Report sender authentication failed",
            message=f"{_reports(reporter.reports)} that claim to be from {reporter.reporter}, but "
            f"their emails (From domain {', '.join(reporter.authors[:3])}) failed authentication. "
            "These reports count as unverified.",
            evidence={
                "observed": {
                    "reports": reporter.reports,
                    "authors": list(reporter.authors[:MAX_SAMPLES]),
                    "isWellKnown": reporter.is_well_known,
                },
                "samples": list(reporter.files),
            },
            reference="RFC 6376 §6.1",
        )
        for reporter in posture.suspect_reports[:MAX_SAMPLES]
    ]


RULES: tuple[Rule[ReportPosture], ...] = (
    Rule(frozenset(("reports.none_received",)), _none_received),
    Rule(frozenset(("reports.reporter_stopped",)), _stopped),
    Rule(frozenset(("ruf.received",)), _failure_reports),
)
ACCOUNT_RULES: tuple[Rule[AccountPosture], ...] = (
    Rule(frozenset(("report.parse_failed_rate",)), _parse_failed),
    Rule(frozenset(("report.foreign_domain",)), _foreign),
    Rule(frozenset(("reports.source_unhealthy",)), _unhealthy),
    Rule(frozenset(("report.authenticity_failed",)), _inauthentic),
)
