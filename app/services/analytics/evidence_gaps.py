"""What is missing in the evidence for a stricter policy, and could hide senders.

A report that was not read completely can name a sender that no other report names. Without a
current SPF record, the domain's own servers look like those of strangers.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.analysis.mail.periods import hour_of
from app.analysis.mail.reporters import DAY
from app.analysis.policy.verdicts import MAX_SILENT_DAYS
from app.db import transactions
from app.models import DmarcReport, DomainState
from app.protocols.quantities import quantity
from app.services.analytics.sending import SendingReport
from app.services.rollups import partial_reports, rollup_queue

_SCANNED = {"dmarc": "DMARC", "spf": "SPF"}


def find(session: Session, report: SendingReport) -> list[str]:
    """Return what is missing in the report, as text, in the caller's transaction.

    report  the email in trusted reports
    """
    return [*_in_reports(session, report), *_in_scans(session, report)]


def _in_reports(session: Session, report: SendingReport) -> Iterator[str]:
    domain, window = report.domain, report.window
    if pending := rollup_queue.pending_count(session, domain.id):
        reports = quantity(pending, "received report")
        yield f"{reports} that {'is' if pending == 1 else 'are'} not included yet"
    partial = partial_reports.count(session, DmarcReport, domain, window, is_trusted_only=True)
    if partial:
        yield f"the unreadable records of {quantity(partial, 'report')} (they can hide senders)"
    end = min(window.stop, hour_of(transactions.now(session)) + 1)
    if report.last_hour is not None and end - report.last_hour > MAX_SILENT_DAYS * DAY:
        yield f"a report about the last {MAX_SILENT_DAYS} days"


def _in_scans(session: Session, report: SendingReport) -> Iterator[str]:
    """Checks that the last scan could not complete, so that an earlier result is in use."""
    state = session.get(DomainState, report.domain.id)
    for check, record in _SCANNED.items():
        if state and check in state.undetermined:
            yield f"the current {record} record, which the last scan could not determine"
        elif state and check == "spf" and check not in state.last_results:
            yield f"a scan of the {record} record"
