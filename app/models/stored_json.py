"""The types of JSON columns."""

from collections.abc import Sequence
from typing import NotRequired, TypeAlias, TypedDict

from app.checks.engine.stored_results import StoredCheck
from app.checks.engine.types import StoredFix
from app.protocols.json_values import JsonObject, JsonValue


class SenderMetadata(TypedDict, total=False):
    """What the channel that received a file knows about its sender; stored as JSON.

    address       the IP address of an HTTP client
    content_type  of an HTTP request
    upload_token  the id of the upload token
    uploaded_by   the email address of the dashboard user
    mailFrom, peer, peerAddress  the envelope sender, and the client of the SMTP listener
    authservIds   the servers that received the mail and whose Authentication-Results count
    sourceClass   the class of the sender in the daily budgets when the file arrived
    """

    address: str | None
    content_type: str | None
    upload_token: str | None
    uploaded_by: str
    mailFrom: str
    peer: str
    peerAddress: str
    authservIds: list[str]
    sourceClass: str


class StoredReason(TypedDict):
    """A receiver's reason for not applying the policy."""

    type: str
    comment: str | None


class StoredDkimResult(TypedDict):
    """A raw DKIM result of a record."""

    domain: str
    selector: str | None
    result: str


class StoredSpfResult(TypedDict):
    """A raw SPF result of a record."""

    domain: str
    scope: str | None
    result: str


# (domain, selector or scope, result) of a rollup's identity; JSON has lists instead of tuples
IdentityResult: TypeAlias = tuple[str, str, str]


class StoredFailureDetails(TypedDict):
    """The fields of a failure report that are only shown."""

    userAgent: str | None
    subject: str | None
    messageId: str | None
    headerFrom: str | None
    dkimIdentity: str | None
    spfDns: str | None
    authenticationResults: list[str]
    warnings: list[str]


class StoredTlsFailure(TypedDict):
    """Sessions under a policy of a TLS report that failed in the same way."""

    result_type: str
    sessions: int
    sending_ip: str | None
    mx: str | None
    mx_helo: str | None
    receiving_ip: str | None
    information: str | None
    reason_code: str | None


class StoredCheckScore(TypedDict):
    """The points of one check."""

    check: str
    points: float
    maxPoints: int


class StoredRecommendation(TypedDict):
    """A recommendation, with the points out of 100 that it gains."""

    check: str
    code: str
    summary: str
    scoreGain: int
    fix: StoredFix | None


class StoredScore(TypedDict, total=False):
    """The score of a domain (``analysis.scan.score.Score``); empty before the first one."""

    value: int | None
    grade: str | None
    version: int
    points: list[StoredCheckScore]
    recommendations: list[StoredRecommendation]


# (at, value, grade, basis) of a score; JSON has a list instead of the tuple
StoredScorePoint: TypeAlias = tuple[str, int, str, str]


class StoredTlsProbe(TypedDict):
    """The TLS probe of a mail host (``ports.smtp.TlsProbe``); the row has its time.

    certificates        in base64; missing in older results
    has_complete_chain  missing in older results
    """

    host: str
    offers_tls: bool
    version: str | None
    problem: str | None
    detail: str
    not_after: str | None
    certificates: NotRequired[list[str]]
    has_complete_chain: NotRequired[bool]


class StoredPolicy(TypedDict):
    """The published DMARC policy according to an aggregate report."""

    p: str
    sp: str | None
    np: str | None
    adkim: str
    aspf: str
    pct: int | None
    fo: str | None
    testing: bool | None
    discovery_method: str | None


class NotEvaluated(TypedDict):
    """The alert types that a root cause held back; reason ends "Not evaluated because …"."""

    types: list[str]
    reason: str


class ChangedAlerts(TypedDict):
    """The public ids of the alerts that a scan changed, and what it could not evaluate."""

    opened: list[str]
    sustained: list[str]
    resolved: list[str]
    notEvaluated: NotRequired[NotEvaluated | None]


class StoredScanResult(TypedDict):
    """The result of a scan."""

    checks: Sequence[StoredCheck]
    alerts: ChangedAlerts


class StoredAlert(TypedDict):
    """An alert as events and clients get it; the keys of ``evidence`` depend on ``type``.

    why, remediation           None for types without such a text
    why, remediation, docsUrl  missing in events that were stored before these texts were introduced
    """

    id: str
    domainId: str | None
    domainName: str | None
    type: str
    subject: str
    dedupKey: str
    severity: str
    status: str
    title: str
    message: str
    evidence: JsonObject
    fix: StoredFix | None
    reference: str | None
    runbook: str
    why: NotRequired[str | None]
    remediation: NotRequired[str | None]
    docsUrl: NotRequired[str]
    firstSeenAt: str
    lastSeenAt: str
    occurrences: int
    snoozedUntil: str | None
    acceptedUntil: str | None
    riskOwner: str | None
    assignee: NotRequired[str | None]
    resolvedAt: str | None
    scanId: str | None
    causeId: str
    updatedAt: str


class StoredTransition(TypedDict):
    """The status change that an event reports."""

    fromStatus: str | None
    toStatus: str
    actor: str
    note: str | None
    evidence: JsonObject | None


class EventData(TypedDict, total=False):
    """What an event is about.

    alert, transition   of an event of an alert; the keys of its evidence depend on its type
    channelId, message  of a test event
    """

    alert: StoredAlert
    transition: StoredTransition
    channelId: str
    message: str


class EventBody(TypedDict):
    """The JSON of an event, without its id and sequence number."""

    type: str
    timestamp: str
    data: EventData


class AuditDetails(TypedDict, total=False):
    """The details of an entry of the audit log; which keys an entry has depends on its action.

    before, after  the values of what was changed
    ends           until when the previous API key or signing secret is valid
    filters        those of an export
    new            the id of the API key that replaces the target
    """

    accepted_until: str
    activeKeys: list[str]
    address: str
    after: JsonValue
    authserv_id: str | None
    before: JsonValue
    concurrent_evaluations: int | None
    concurrent_exports: int | None
    count: int
    count_this_hour: int
    deletedInvitations: int
    domain: str | None
    ends: str
    files: int
    filters: JsonObject
    host: str | None
    kind: str
    max_api_keys: int | None
    name: str
    new: str
    note: str | None
    rate_limit: str | None
    reason: str | None
    reported_by: str
    reporter: str | None
    risk_owner: str | None
    role: str
    scopes: list[str]
    sessions: int
    source: str
    state: str | None
    status: str
    url: str | None
    username: str | None
