"""The retention rule of each table, or the reason why it has none.

A rule is a condition on rows, so that a preview counts exactly the rows that a run deletes. No rule
deletes rows of a domain on legal hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_

from app import settings
from app.models import (
    Alert,
    ApiKeyAddress,
    ApiKeyUsage,
    Base,
    BrowserSession,
    DailyIngestUsage,
    Delivery,
    DmarcReport,
    DnsChange,
    Email,
    Event,
    FailureReport,
    FormResult,
    IdempotentCall,
    IngestToken,
    Invitation,
    MailHost,
    ObservedSelector,
    PasswordReset,
    RefusalCount,
    ScanBatch,
    ShareLink,
    SignInNetwork,
    StoredFormDraft,
    TlsReport,
    TokenLeak,
    UploadToken,
)
from app.services.api_keys import idempotency
from app.services.emails import emails
from app.services.filing import observed_selectors
from app.services.ingest import budgets
from app.services.operations import retention_conditions as conditions
from app.services.operations import retention_files
from app.services.operations.retention_conditions import Condition
from app.services.scans import starttls_probes
from app.services.sign_in import sign_in_networks

INGEST_USAGE_RETENTION = timedelta(days=90)
REFUSAL_COUNTS_RETENTION = timedelta(days=2)
SHARE_LINK_RETENTION = timedelta(days=7)
INVITATION_RETENTION = timedelta(days=30)  # after it has expired


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of one table that are deleted for the same reason.

    setting    the setting with the number of days that they stay; "" for a fixed time
    what       completes "Deletes …"
    condition  returns the condition on the rows at a time, without legal holds
    """

    name: str
    table: str
    setting: str
    what: str
    condition: Callable[[datetime], Condition]

    @property
    def days(self) -> int | None:
        """The value of the setting; None for a fixed time."""
        return getattr(settings.current(), self.setting.lower()) if self.setting else None


def rows(rule: Rule, now: datetime) -> Condition:
    """Return the condition for the rows that the rule deletes at this time."""
    table = Base.metadata.tables[rule.table]
    return and_(rule.condition(now), conditions.is_free(table))


RULES: Sequence[Rule] = (
    Rule(
        name="scans.unchanged",
        table="scans",
        setting="UNCHANGED_SCAN_RETENTION_DAYS",
        what="scans without changes, except the first and the last of a domain",
        condition=conditions.unchanged_scans,
    ),
    Rule(
        name="scans.old",
        table="scans",
        setting="SCAN_RETENTION_DAYS",
        what="all scans but the last of a domain",
        condition=conditions.old_scans,
    ),
    Rule(
        name="scan_batches",
        table="scan_batches",
        setting="UNCHANGED_SCAN_RETENTION_DAYS",
        what="batches of scans; the scans themselves stay",
        condition=conditions.before(ScanBatch.requested_at, "UNCHANGED_SCAN_RETENTION_DAYS"),
    ),
    Rule(
        name="dns_changes",
        table="dns_changes",
        setting="DNS_CHANGE_RETENTION_DAYS",
        what="the history of DNS records",
        condition=conditions.before(DnsChange.at, "DNS_CHANGE_RETENTION_DAYS"),
    ),
    Rule(
        name="alerts",
        table="alerts",
        setting="ALERT_RETENTION_DAYS",
        what="resolved alerts with their history",
        condition=lambda now: and_(
            Alert.status == "resolved",
            conditions.before(Alert.resolved_at, "ALERT_RETENTION_DAYS")(now),
        ),
    ),
    Rule(
        name="audit_events",
        table="audit_events",
        setting="AUDIT_RETENTION_DAYS",
        what="the audit log",
        condition=conditions.before(
            Base.metadata.tables["audit_events"].c.at, "AUDIT_RETENTION_DAYS"
        ),
    ),
    Rule(
        name="refusal_counts",
        table="refusal_counts",
        setting="",
        what="counts of refusals in an hour",
        condition=conditions.older(RefusalCount.hour, REFUSAL_COUNTS_RETENTION),
    ),
    Rule(
        name="api_key_usage",
        table="api_key_usage",
        setting="KEY_USAGE_RETENTION_DAYS",
        what="API calls of a day by route",
        condition=conditions.day_before(ApiKeyUsage.day, "KEY_USAGE_RETENTION_DAYS"),
    ),
    Rule(
        name="api_key_addresses",
        table="api_key_addresses",
        setting="KEY_USAGE_RETENTION_DAYS",
        what="API calls of a day by address",
        condition=conditions.day_before(ApiKeyAddress.day, "KEY_USAGE_RETENTION_DAYS"),
    ),
    Rule(
        name="api_keys",
        table="api_keys",
        setting="API_KEY_RETENTION_DAYS",
        what="revoked and expired API keys",
        condition=conditions.inactive_keys,
    ),
    Rule(
        name="ingest_tokens",
        table="ingest_tokens",
        setting="API_KEY_RETENTION_DAYS",
        what="revoked and expired report addresses",
        condition=conditions.inactive(IngestToken),
    ),
    Rule(
        name="upload_tokens",
        table="upload_tokens",
        setting="API_KEY_RETENTION_DAYS",
        what="revoked and expired upload tokens",
        condition=conditions.inactive(UploadToken),
    ),
    Rule(
        name="token_leaks",
        table="token_leaks",
        setting="API_KEY_RETENTION_DAYS",
        what="reports of leaked keys",
        condition=conditions.before(TokenLeak.reported_at, "API_KEY_RETENTION_DAYS"),
    ),
    Rule(
        name="events",
        table="events",
        setting="EVENT_RETENTION_DAYS",
        what="events, with their deliveries",
        condition=lambda now: and_(
            Event.sequence.is_not(None), conditions.before(Event.at, "EVENT_RETENTION_DAYS")(now)
        ),
    ),
    Rule(
        name="events.deleted_domains",
        table="events",
        setting="",
        what="events about alerts of deleted domains",
        condition=conditions.events_of_deleted_domains,
    ),
    Rule(
        name="deliveries",
        table="deliveries",
        setting="DELIVERY_RETENTION_DAYS",
        what="finished deliveries",
        condition=conditions.before(Delivery.finished_at, "DELIVERY_RETENTION_DAYS"),
    ),
    Rule(
        name="record_log",
        table="record_log",
        setting="",
        what="the order of records that are older than all of their retention periods",
        condition=conditions.record_log,
    ),
    Rule(
        name="sign_in_networks",
        table="sign_in_networks",
        setting="",
        what="networks without a recent sign-in",
        condition=conditions.older(SignInNetwork.last_seen_at, sign_in_networks.RETENTION),
    ),
    Rule(
        name="emails",
        table="emails",
        setting="",
        what="finished emails to people",
        condition=conditions.older(Email.finished_at, emails.RETENTION),
    ),
    Rule(
        name="failure_reports",
        table="failure_reports",
        setting="FAILURE_REPORT_RETENTION_DAYS",
        what="failure reports",
        condition=conditions.before(FailureReport.received_at, "FAILURE_REPORT_RETENTION_DAYS"),
    ),
    Rule(
        name="daily_ingest_usage",
        table="daily_ingest_usage",
        setting="",
        what="numbers of files received on a day",
        condition=lambda now: DailyIngestUsage.day < (now - INGEST_USAGE_RETENTION).date(),
    ),
    Rule(
        name="ingest_sources",
        table="ingest_sources",
        setting="",
        what="the usage of senders of files on earlier days",
        condition=budgets.is_unused,
    ),
    Rule(
        name="dmarc_reports",
        table="dmarc_reports",
        setting="REPORT_RETENTION_DAYS",
        what="aggregate reports with their records and figures",
        condition=conditions.before(DmarcReport.end_at, "REPORT_RETENTION_DAYS"),
    ),
    Rule(
        name="tls_reports",
        table="tls_reports",
        setting="REPORT_RETENTION_DAYS",
        what="TLS reports",
        condition=conditions.before(TlsReport.end_at, "REPORT_RETENTION_DAYS"),
    ),
    Rule(
        name="raw_files",
        table="raw_files",
        setting="RAW_RETENTION_DAYS",
        what="the bytes of report files; those of parsed files after PARSED_RETENTION_DAYS",
        condition=retention_files.unneeded_bytes,
    ),
    Rule(
        name="report_files",
        table="report_files",
        setting="REPORT_FILE_RETENTION_DAYS",
        what="outcomes of files, unless their report still exists",
        condition=retention_files.ended_long_ago,
    ),
    Rule(
        name="sessions",
        table="sessions",
        setting="",
        what="expired sessions",
        condition=conditions.older(BrowserSession.expires_at, timedelta(0)),
    ),
    Rule(
        name="form_results",
        table="form_results",
        setting="",
        what="results of forms that a page has shown",
        condition=conditions.older(FormResult.expires_at, timedelta(0)),
    ),
    Rule(
        name="form_drafts",
        table="form_drafts",
        setting="",
        what="entered values of forms whose session had ended",
        condition=conditions.older(StoredFormDraft.expires_at, timedelta(0)),
    ),
    Rule(
        name="password_resets",
        table="password_resets",
        setting="",
        what="expired links for a new password",
        condition=conditions.older(PasswordReset.expires_at, timedelta(0)),
    ),
    Rule(
        name="invitations",
        table="invitations",
        setting="",
        what="expired invitations",
        condition=conditions.older(Invitation.expires_at, INVITATION_RETENTION),
    ),
    Rule(
        name="share_links",
        table="share_links",
        setting="",
        what="expired share links",
        condition=conditions.older(ShareLink.expires_at, SHARE_LINK_RETENTION),
    ),
    Rule(
        name="idempotent_calls",
        table="idempotent_calls",
        setting="",
        what="responses stored for an Idempotency-Key",
        condition=conditions.older(IdempotentCall.created_at, idempotency.RETENTION),
    ),
    Rule(
        name="observed_selectors",
        table="observed_selectors",
        setting="",
        what="selectors that no recent report names",
        condition=conditions.older(ObservedSelector.last_seen_at, observed_selectors.RETENTION),
    ),
    Rule(
        name="sender_hosts",
        table="sender_hosts",
        setting="",
        what="hosts without messages in the analytics",
        condition=conditions.unused_hosts,
    ),
    Rule(
        name="mail_hosts",
        table="mail_hosts",
        setting="",
        what="mail hosts that no recent scan names",
        condition=conditions.older(MailHost.last_referenced_at, starttls_probes.UNUSED_RETENTION),
    ),
)

# Tables without a rule, with the reason.
WITHOUT_RULE: Mapping[str, str] = {
    "accounts": "Deleted by its owner or an operator.",
    "account_limits": "Configuration: deleted with the account.",
    "users": "Deleted by an owner or an operator.",
    "domains": "Deleted by the account.",
    "channels": "Configuration: deleted by the account.",
    "channel_recipients": "Consent: deleted with the channel or the user.",
    "report_mailboxes": "Configuration: deleted by the account.",
    "mailbox_messages": "Deleted as soon as the mailbox no longer lists the message.",
    "record_sinks": "Configuration: deleted by the account.",
    "recovery_codes": "Ten rows for each user: deleted with the user or the second factor.",
    "queue_accounts": "One row for each account and queue: deleted with the account.",
    "alert_transitions": "Deleted with the alert.",
    "batch_scans": "Deleted with the batch or the scan.",
    "domain_mail": "One row for each domain: deleted with it.",
    "domain_mail_days": "The days of ``domain_mail``: replaced when they are counted again.",
    "weekly_summaries": "Configuration: deleted with the channel.",
    "saved_views": "Configuration: deleted by the user.",
    "domain_states": "One row for each domain: deleted with it.",
    "dkim_keys": "The keys of the last scan: replaced by the next one.",
    "report_monitors": "One row for each domain: deleted with it.",
    "source_decisions": "A decision of a user: deleted with the domain.",
    "dmarc_records": "Deleted with the report.",
    "tls_policies": "Deleted with the report.",
    "rollup_queue": "Deleted as soon as the report is counted.",
    "dmarc_hours": "Reduced when a report is deleted.",
    "dmarc_flow_counts": "Reduced when a report is deleted.",
    "dmarc_reporter_counts": "Reduced when a report is deleted.",
    "dmarc_flows": "Deleted with the last report of the flow.",
    "dmarc_identities": "Few for each domain; flows refer to them. Deleted with the domain.",
    "dmarc_weeks": "One row for each domain and week with reports: deleted with the domain.",
}
