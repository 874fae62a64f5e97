"""Reports over several days, and the alerts that they open."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.db.transactions import now, transaction
from app.mailboxes.imap import ImapConfig
from app.models import Alert, Domain, DomainState, ReportMailbox
from app.protocols.report_formats.aggregate import Record, SpfResult
from app.services.mailboxes import mailboxes
from app.services.monitoring import report_monitor
from tests.support.factories import ACTOR
from tests.support.stored_reports import DAY, Report, record, store

RUA = {
    "record": "v=DMARC1; p=none; rua=mailto:d@acme.test",
    "record_at": "acme.test",
    "org_domain": "acme.test",
    "p": "none",
    "rua": ["mailto:d@acme.test"],
    "policy_since": "2026-01-01T00:00:00.000Z",
}


GOOD = record(count=100)


def failing_record(count: int, **fields: Any) -> Record:
    results = {"dkim_results": (), "spf_results": ()} | fields
    return record("203.0.113.9", count, dkim=False, spf=False, **results)


def midnight(days_ago: int) -> datetime:
    with transaction(readonly=True) as session:
        today = now(session).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - days_ago * DAY


def send(domain: Domain, days: range, *rows: Record, **report: Any) -> None:
    for day in days:
        store(domain, Report(list(rows), begin=midnight(day), **report))


def store_dmarc_facts(domain: Domain, facts: dict[str, Any]) -> None:
    with transaction() as session:
        results = {"dmarc": {"facts": facts}, "spf": {"facts": {}}}
        session.add(
            DomainState(domain_id=domain.id, account_id=domain.account_id, last_results=results)
        )


def opened(domain: Domain, *types: str) -> dict[str, Alert]:
    """The open alerts after one evaluation, of these types or of all."""
    report_monitor.evaluate_domain(domain.id)
    with transaction(readonly=True) as session:
        alerts = session.scalars(select(Alert).where(Alert.status == "open")).all()
    return {alert.type: alert for alert in alerts if not types or alert.type in types}


MAILCHIMP = SpfResult("x.mcsv.net", "mfrom", "pass")


def mailbox(account_id: UUID) -> ReportMailbox:
    access = ImapConfig(
        host="127.0.0.1", port=1, username="reports@acme.test", password="sesame"
    )  # a closed port
    return mailboxes.add(account_id, access, actor=ACTOR, is_private=True)
