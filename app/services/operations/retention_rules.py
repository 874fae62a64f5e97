"""How long the rows of every table stay: a rule for each, or the reason why there is none.

A rule is a condition on rows, so that a preview counts exactly what a run deletes. Nothing of a
domain on legal hold is deleted by any rule.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, exists, or_, select, true
from sqlalchemy.orm import aliased

from app import settings
from app.models import (
    Alert,
    ApiKey,
    ApiKeyAddress,
    ApiKeyUsage,
    Base,
    BrowserSession,
    DailyIngestUsage,
    Delivery,
    DmarcFlow,
    DmarcReport,
    DnsChange,
    Domain,
    Email,
    Event,
    FailureReport,
    IdempotentCall,
    IngestToken,
    Invitation,
    MailHost,
    ObservedSelector,
    RefusalCount,
    Scan,
    ScanBatch,
    SenderHost,
    SignInNetwork,
    TlsReport,
    TokenLeak,
    UploadToken,
)
from app.models.scans import UNFINISHED
from app.services.accounts import sign_in_networks
from app.services.api_keys import idempotency
from app.services.core import emails
from app.services.domains import erasure
from app.services.ingest import budgets, observed_selectors
from app.services.operations import retention_files
from app.services.scans import starttls_probes

Condition = ColumnElement[bool]
REPORT_DAYS_KEPT = timedelta(days=90)
REFUSAL_COUNTS_RETENTION = timedelta(days=2)
TOKENS_KEPT = timedelta(days=30)  # after an invitation has ended


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of one table that are deleted together, for one reason.

    setting    that says how many days they stay; "" for a fixed time
    what       completes "Deletes …"
    condition  for the rows, at a moment; without the legal hold
    """

    name: str
    table: str
    setting: str
    what: str
    condition: Callable[[datetime], Condition]

    @property
    def days(self) -> int | None:
        """The value of the setting."""
        return getattr(settings.current(), self.setting.lower()) if self.setting else None


def rows(rule: Rule, now: datetime) -> Condition:
    """The condition for what the rule deletes at this moment; nothing that is on legal hold."""
    table = Base.metadata.tables[rule.table]
    return and_(rule.condition(now), is_free(table))


def is_free(table: Table) -> Condition:
    """The row is of no domain on legal hold, as far as rows of this table can be of a domain."""
    held = Domain.legal_hold_at.is_not(None)
    if "domain_id" in table.c:
        held_ids = select(Domain.id).where(held)
        return or_(table.c.domain_id.is_(None), table.c.domain_id.not_in(held_ids))
    if table.name in ("events", "deliveries"):
        on_hold = select(Alert.id).join(Domain, Domain.id == Alert.domain_id).where(held)
        return or_(table.c.alert_id.is_(None), table.c.alert_id.not_in(on_hold))
    if table.name in ("audit_events", "raw_files"):  # any of them may be about the domain
        return table.c.account_id.not_in(select(Domain.account_id).where(held))
    if table.name == "report_files":
        names_it = exists().where(
            held,
            Domain.account_id == table.c.account_id,
            or_(
                table.c.policy_domain.is_(None),
                table.c.policy_domain == Domain.name,
                table.c.policy_domain.like("%." + Domain.name),
            ),
        )
        return ~names_it
    return true()


def _before(column: Any, setting: str) -> Callable[[datetime], Condition]:
    def condition(now: datetime) -> Condition:
        days: int = getattr(settings.current(), setting.lower())
        return column < now - timedelta(days=days)  # type: ignore[no-any-return]

    return condition


def _older(column: Any, age: timedelta) -> Callable[[datetime], Condition]:
    return lambda now: column < now - age


def _unchanged_scans(now: datetime) -> Condition:
    """Scans that changed nothing, but the first and the last of each domain.

    Those that an alert refers to stay too. Without the column ``has_changes`` set (a scan of an
    earlier release) it is not known whether a scan changed something, and it stays.
    """
    days = settings.current().unchanged_scan_retention_days
    other = aliased(Scan)
    is_ended = or_(
        and_(Scan.status == "completed", Scan.has_changes.is_(False)),
        Scan.status.in_(("failed", "cancelled")),
    )
    same = other.domain_id == Scan.domain_id
    completed = other.status == "completed"
    return and_(
        Scan.requested_at < now - timedelta(days=days),
        is_ended,
        exists().where(same, completed, other.id < Scan.id),
        exists().where(same, completed, other.id > Scan.id),
        ~exists().where(Alert.domain_id == Scan.domain_id, Alert.scan_id == Scan.id),
    )


def _old_scans(now: datetime) -> Condition:
    days = settings.current().scan_retention_days
    other = aliased(Scan)
    is_followed = exists().where(
        other.domain_id == Scan.domain_id, other.status == "completed", other.id > Scan.id
    )
    return and_(
        Scan.requested_at < now - timedelta(days=days),
        Scan.status.not_in(UNFINISHED),
        is_followed,
    )


def _ended_keys(now: datetime) -> Condition:
    old = now - timedelta(days=settings.current().api_key_retention_days)
    later = aliased(ApiKey)
    return and_(
        or_(ApiKey.revoked_at < old, ApiKey.expires_at < old),
        ~exists().where(later.rotated_from == ApiKey.id),
    )


def _ended(table: Any) -> Callable[[datetime], Condition]:
    def condition(now: datetime) -> Condition:
        old = now - timedelta(days=settings.current().api_key_retention_days)
        return or_(table.revoked_at < old, table.expires_at < old)

    return condition


def _events_of_deleted_domains(now: datetime) -> Condition:
    return and_(
        Event.alert_id.is_not(None),
        ~exists().where(Alert.id == Event.alert_id),
        Event.at < now - erasure.EVENTS_GRACE,
    )


def _unused_hosts(now: datetime) -> Condition:
    is_used = exists().where(DmarcFlow.source_ip == SenderHost.address)
    return and_(SenderHost.looked_up_at < now - timedelta(days=1), ~is_used)


def _day_before(column: Any, setting: str) -> Callable[[datetime], Condition]:
    def condition(now: datetime) -> Condition:
        days: int = getattr(settings.current(), setting.lower())
        return column < (now - timedelta(days=days)).date()  # type: ignore[no-any-return]

    return condition


RULES: Sequence[Rule] = (
    Rule(
        "scans.unchanged",
        "scans",
        "UNCHANGED_SCAN_RETENTION_DAYS",
        "scans that changed no record, verdict or alert, but the first and the last of a domain",
        _unchanged_scans,
    ),
    Rule(
        "scans.old",
        "scans",
        "SCAN_RETENTION_DAYS",
        "all scans but the last of a domain",
        _old_scans,
    ),
    Rule(
        "scan_batches",
        "scan_batches",
        "UNCHANGED_SCAN_RETENTION_DAYS",
        "batches of scans; the scans themselves stay",
        _before(ScanBatch.requested_at, "UNCHANGED_SCAN_RETENTION_DAYS"),
    ),
    Rule(
        "dns_changes",
        "dns_changes",
        "DNS_CHANGE_RETENTION_DAYS",
        "the history of DNS records",
        _before(DnsChange.at, "DNS_CHANGE_RETENTION_DAYS"),
    ),
    Rule(
        "alerts",
        "alerts",
        "ALERT_RETENTION_DAYS",
        "resolved alerts with their history",
        lambda now: and_(
            Alert.status == "resolved",
            _before(Alert.resolved_at, "ALERT_RETENTION_DAYS")(now),
        ),
    ),
    Rule(
        "audit_events",
        "audit_events",
        "AUDIT_RETENTION_DAYS",
        "the audit log",
        _before(Base.metadata.tables["audit_events"].c.at, "AUDIT_RETENTION_DAYS"),
    ),
    Rule(
        "refusal_counts",
        "refusal_counts",
        "",
        "how often something was refused in an hour",
        _older(RefusalCount.hour, REFUSAL_COUNTS_RETENTION),
    ),
    Rule(
        "api_key_usage",
        "api_key_usage",
        "KEY_USAGE_RETENTION_DAYS",
        "API calls of a day by route",
        _day_before(ApiKeyUsage.day, "KEY_USAGE_RETENTION_DAYS"),
    ),
    Rule(
        "api_key_addresses",
        "api_key_addresses",
        "KEY_USAGE_RETENTION_DAYS",
        "API calls of a day by address",
        _day_before(ApiKeyAddress.day, "KEY_USAGE_RETENTION_DAYS"),
    ),
    Rule(
        "api_keys",
        "api_keys",
        "API_KEY_RETENTION_DAYS",
        "revoked and expired API keys",
        _ended_keys,
    ),
    Rule(
        "ingest_tokens",
        "ingest_tokens",
        "API_KEY_RETENTION_DAYS",
        "revoked and expired report addresses",
        _ended(IngestToken),
    ),
    Rule(
        "upload_tokens",
        "upload_tokens",
        "API_KEY_RETENTION_DAYS",
        "revoked and expired upload tokens",
        _ended(UploadToken),
    ),
    Rule(
        "token_leaks",
        "token_leaks",
        "API_KEY_RETENTION_DAYS",
        "reports of leaked keys",
        _before(TokenLeak.reported_at, "API_KEY_RETENTION_DAYS"),
    ),
    Rule(
        "events",
        "events",
        "EVENT_RETENTION_DAYS",
        "events, with their deliveries",
        lambda now: and_(
            Event.sequence.is_not(None), _before(Event.at, "EVENT_RETENTION_DAYS")(now)
        ),
    ),
    Rule(
        "events.deleted_domains",
        "events",
        "",
        "events about alerts of deleted domains",
        _events_of_deleted_domains,
    ),
    Rule(
        "deliveries",
        "deliveries",
        "DELIVERY_RETENTION_DAYS",
        "finished deliveries",
        _before(Delivery.finished_at, "DELIVERY_RETENTION_DAYS"),
    ),
    Rule(
        "sign_in_networks",
        "sign_in_networks",
        "",
        "networks from which a person has not signed in for long",
        _older(SignInNetwork.last_seen_at, sign_in_networks.RETENTION),
    ),
    Rule(
        "emails",
        "emails",
        "",
        "finished emails to people",
        _older(Email.finished_at, emails.RETENTION),
    ),
    Rule(
        "failure_reports",
        "failure_reports",
        "FAILURE_REPORT_RETENTION_DAYS",
        "failure reports",
        _before(FailureReport.received_at, "FAILURE_REPORT_RETENTION_DAYS"),
    ),
    Rule(
        "daily_ingest_usage",
        "daily_ingest_usage",
        "",
        "how many files were received on a day",
        lambda now: DailyIngestUsage.day < (now - REPORT_DAYS_KEPT).date(),
    ),
    Rule(
        "ingest_sources",
        "ingest_sources",
        "",
        "what one sender of files used on an earlier day",
        budgets.is_unused,
    ),
    Rule(
        "dmarc_reports",
        "dmarc_reports",
        "REPORT_RETENTION_DAYS",
        "aggregate reports with their records and figures",
        _before(DmarcReport.end_at, "REPORT_RETENTION_DAYS"),
    ),
    Rule(
        "tls_reports",
        "tls_reports",
        "REPORT_RETENTION_DAYS",
        "TLS reports",
        _before(TlsReport.end_at, "REPORT_RETENTION_DAYS"),
    ),
    Rule(
        "raw_files",
        "raw_files",
        "RAW_RETENTION_DAYS",
        "the bytes of report files; those of files that were read after PARSED_RETENTION_DAYS",
        retention_files.unneeded_bytes,
    ),
    Rule(
        "report_files",
        "report_files",
        "REPORT_FILE_RETENTION_DAYS",
        "outcomes of files, unless their report still exists",
        retention_files.ended_long_ago,
    ),
    Rule(
        "sessions",
        "sessions",
        "",
        "expired sessions",
        _older(BrowserSession.expires_at, timedelta(0)),
    ),
    Rule(
        "invitations",
        "invitations",
        "",
        "expired invitations",
        _older(Invitation.expires_at, TOKENS_KEPT),
    ),
    Rule(
        "idempotent_calls",
        "idempotent_calls",
        "",
        "answers kept for an Idempotency-Key",
        _older(IdempotentCall.created_at, idempotency.RETENTION),
    ),
    Rule(
        "observed_selectors",
        "observed_selectors",
        "",
        "selectors that no report has named lately",
        _older(ObservedSelector.last_seen_at, observed_selectors.RETENTION),
    ),
    Rule(
        "sender_hosts",
        "sender_hosts",
        "",
        "hosts that sent no mail that is counted",
        _unused_hosts,
    ),
    Rule(
        "mail_hosts",
        "mail_hosts",
        "",
        "mail hosts that no scan has named lately",
        _older(MailHost.last_referenced_at, starttls_probes.UNUSED_RETENTION),
    ),
)

# Tables without a rule, and why.
WITHOUT_RULE: Mapping[str, str] = {
    "accounts": "Deleted by its owner or an operator.",
    "account_limits": "Configuration: deleted with the account.",
    "users": "Deleted by an owner or an operator.",
    "domains": "Deleted by the account.",
    "channels": "Configuration: deleted by the account.",
    "channel_recipients": "Consent: deleted with the channel or the person.",
    "report_mailboxes": "Configuration: deleted by the account.",
    "recovery_codes": "Ten rows a person: deleted with the person or the second factor.",
    "alert_transitions": "Deleted with the alert.",
    "batch_scans": "Deleted with the batch or the scan.",
    "domain_states": "One row a domain: deleted with it.",
    "dkim_keys": "The keys of the last scan: replaced by the next one.",
    "report_monitors": "One row a domain: deleted with it.",
    "source_decisions": "A decision of a person: deleted with the domain.",
    "dmarc_records": "Deleted with the report.",
    "tls_policies": "Deleted with the report.",
    "rollup_queue": "Deleted as soon as the report is counted.",
    "dmarc_hours": "Reduced when a report is deleted.",
    "dmarc_flow_counts": "Reduced when a report is deleted.",
    "dmarc_reporter_counts": "Reduced when a report is deleted.",
    "dmarc_flows": "Deleted with the last report of the flow.",
    "dmarc_identities": "Few for each domain; flows refer to them. Deleted with the domain.",
    "dmarc_weeks": "One row a domain and week with reports: deleted with the domain.",
}
