"""Tables: columns, constraints, and the state changes of one row. No queries."""

from app.db.types import Base
from app.models.account_limits import AccountLimits
from app.models.accounts import (
    Account,
    AuditEvent,
    BrowserSession,
    FormResult,
    Invitation,
    PasswordReset,
    RecoveryCode,
    SavedView,
    SignInNetwork,
    StoredFormDraft,
    User,
)
from app.models.alerts import Alert, AlertTransition
from app.models.domains import DkimKey, DnsChange, Domain, DomainState
from app.models.emails import Email
from app.models.events import Channel, ChannelRecipient, Delivery, Event, WeeklySummary
from app.models.ingest_sources import IngestSource
from app.models.keys import ApiKey, ApiKeyAddress, ApiKeyUsage, IdempotentCall
from app.models.mail_hosts import MailHost
from app.models.mailboxes import MailboxMessage, ReportMailbox
from app.models.queue_accounts import QueueAccount
from app.models.record_log import RecordLogEntry
from app.models.record_sinks import RecordSink
from app.models.refusals import RefusalCount
from app.models.reports import (
    DailyIngestUsage,
    DmarcRecord,
    DmarcReport,
    FailureReport,
    IngestToken,
    ObservedSelector,
    RawFile,
    ReportFile,
    RollupQueueEntry,
)
from app.models.rollups import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcWeek,
    DomainMail,
    DomainMailDay,
    FlowCount,
    ReporterCount,
)
from app.models.scans import BatchScan, Scan, ScanBatch
from app.models.senders import ReportMonitor, SenderHost, SourceDecision
from app.models.share_links import ShareLink
from app.models.tls_reports import TlsPolicy, TlsReport
from app.models.token_leaks import TokenLeak
from app.models.upload_tokens import UploadToken

__all__ = [
    "Account",
    "AccountLimits",
    "Alert",
    "AlertTransition",
    "ApiKey",
    "ApiKeyAddress",
    "ApiKeyUsage",
    "AuditEvent",
    "Base",
    "BatchScan",
    "BrowserSession",
    "Channel",
    "ChannelRecipient",
    "DailyIngestUsage",
    "Delivery",
    "DkimKey",
    "DmarcFlow",
    "DmarcHour",
    "DmarcIdentity",
    "DmarcRecord",
    "DmarcReport",
    "DmarcWeek",
    "DnsChange",
    "Domain",
    "DomainMail",
    "DomainMailDay",
    "DomainState",
    "Email",
    "Event",
    "FailureReport",
    "FlowCount",
    "FormResult",
    "IdempotentCall",
    "IngestSource",
    "IngestToken",
    "Invitation",
    "MailHost",
    "MailboxMessage",
    "ObservedSelector",
    "PasswordReset",
    "QueueAccount",
    "RawFile",
    "RecordLogEntry",
    "RecordSink",
    "RecoveryCode",
    "RefusalCount",
    "ReportFile",
    "ReportMailbox",
    "ReportMonitor",
    "ReporterCount",
    "RollupQueueEntry",
    "SavedView",
    "Scan",
    "ScanBatch",
    "SenderHost",
    "ShareLink",
    "SignInNetwork",
    "SourceDecision",
    "StoredFormDraft",
    "TlsPolicy",
    "TlsReport",
    "TokenLeak",
    "UploadToken",
    "User",
    "WeeklySummary",
]
