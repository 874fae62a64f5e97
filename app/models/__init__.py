"""Tables: columns, constraints, and the state changes of one row. No queries."""

from app.db.types import Base
from app.models.account_limits import AccountLimits
from app.models.accounts import (
    Account,
    AuditEvent,
    Invitation,
    RecoveryCode,
    SignedIn,
    SignInNetwork,
    User,
)
from app.models.alerts import Alert, AlertTransition
from app.models.domains import DkimKey, DnsChange, Domain, DomainState
from app.models.emails import Email
from app.models.events import Channel, ChannelRecipient, Delivery, Event
from app.models.ingest_sources import IngestSource
from app.models.keys import ApiKey, IdempotentCall, KeyAddress, KeyUse
from app.models.mail_hosts import MailHost
from app.models.mailboxes import ReportMailbox
from app.models.refusals import RefusalCount
from app.models.reports import (
    DmarcRecord,
    DmarcReport,
    FailureReport,
    IngestToken,
    Intake,
    RawFile,
    ReportDay,
    SeenSelector,
    TlsPolicy,
    TlsReport,
    UncountedReport,
)
from app.models.rollups import (
    DmarcFlow,
    DmarcHour,
    DmarcIdentity,
    DmarcWeek,
    FlowCount,
    ReporterCount,
)
from app.models.scans import BatchScan, Scan, ScanBatch
from app.models.senders import ReportWatch, SenderHost, SourceState
from app.models.token_leaks import TokenLeak
from app.models.upload_tokens import UploadToken

__all__ = [
    "Account",
    "AccountLimits",
    "Alert",
    "AlertTransition",
    "ApiKey",
    "AuditEvent",
    "Base",
    "BatchScan",
    "Channel",
    "ChannelRecipient",
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
    "DomainState",
    "Email",
    "Event",
    "FailureReport",
    "FlowCount",
    "IdempotentCall",
    "IngestSource",
    "IngestToken",
    "Intake",
    "Invitation",
    "KeyAddress",
    "KeyUse",
    "MailHost",
    "RawFile",
    "RecoveryCode",
    "RefusalCount",
    "ReportDay",
    "ReportMailbox",
    "ReportWatch",
    "ReporterCount",
    "Scan",
    "ScanBatch",
    "SeenSelector",
    "SenderHost",
    "SignInNetwork",
    "SignedIn",
    "SourceState",
    "TlsPolicy",
    "TlsReport",
    "TokenLeak",
    "UncountedReport",
    "UploadToken",
    "User",
]
