"""Alerts on the report files and mailboxes of an account."""

from collections.abc import Iterable
from datetime import timedelta

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import AccountPosture
from app.rules.reports.reports import MAX_SAMPLES

UNHEALTHY_AFTER = timedelta(hours=1)
MIN_FILES, MAX_QUARANTINED = 20, 0.05


def _parse_failed(posture: AccountPosture) -> Iterable[AlertDraft] | None:
    """An alert if many files are quarantined; info if only files from others are.

    Anyone can send files that are not reports.
    """
    is_known = False
    for files, severity in (
        (posture.own_files, Severity.MEDIUM),
        (posture.all_files, Severity.INFO),
    ):
        if files.files < MIN_FILES:
            continue
        is_known = True
        if files.quarantined / files.files > MAX_QUARANTINED:
            return [
                AlertDraft(
                    type="report.parse_failed_rate",
                    subject="",
                    severity=severity,
                    title="Many report files cannot be parsed",
                    message=f"{files.quarantined} of {files.files} report files of the last day "
                    "could not be parsed and are quarantined. Their reports are missing from the "
                    "analytics. Check the reasons in the evidence.",
                    evidence={
                        "observed": {
                            "files": files.files,
                            "quarantined": files.quarantined,
                            "reasons": dict(files.reasons),
                        },
                        "threshold": {"share": MAX_QUARANTINED},
                    },
                )
            ]
    return [] if is_known else None


def _foreign(posture: AccountPosture) -> Iterable[AlertDraft]:
    return [
        AlertDraft(
            type="report.foreign_domain",
            subject=name,
            severity=Severity.INFO,
            title="Reports received for a domain that is not verified",
            message=f"{count} reports of the last week are for {name}, which is not a verified "
            "domain of this account, so they are not shown. Add and verify the domain, or remove "
            "the report address from its DMARC record.",
            evidence={"observed": {"domain": name, "reports": count}},
        )
        for name, count in list(posture.foreign.items())[:MAX_SAMPLES]
    ]


def _unhealthy(posture: AccountPosture) -> Iterable[AlertDraft]:
    """Alerts on mailboxes that failed for an hour; a single failed poll is retried without loss."""
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
        if posture.now - mailbox.failing_since >= UNHEALTHY_AFTER
    ][:MAX_SAMPLES]


def _inauthentic(posture: AccountPosture) -> Iterable[AlertDraft]:
    """Info alerts on reporters whose emails failed authentication; anyone can send such emails."""
    return [
        AlertDraft(
            type="report.authenticity_failed",
            subject=reporter.reporter,
            severity=Severity.INFO,
            title="Report sender authentication failed",
            message=f"{reporter.reports} reports of the last week claim to be from "
            f"{reporter.reporter}, but their emails (From domain "
            f"{', '.join(reporter.authors[:3])}) failed authentication. These reports count as "
            "unverified.",
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
        for reporter in posture.doubtful[:MAX_SAMPLES]
    ]


ACCOUNT_RULES: tuple[Rule[AccountPosture], ...] = (
    Rule(frozenset(("report.parse_failed_rate",)), _parse_failed),
    Rule(frozenset(("report.foreign_domain",)), _foreign),
    Rule(frozenset(("reports.source_unhealthy",)), _unhealthy),
    Rule(frozenset(("report.authenticity_failed",)), _inauthentic),
)
