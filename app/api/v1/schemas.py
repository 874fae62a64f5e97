"""The schemas of the API's resources."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema
from app.checks.engine.types import Severity, Usage, Verdict


class Fix(Schema):
    """The DNS change that fixes a finding, with the rollback and the reason."""

    action: str = Field(description="publish, replace or remove")
    name: str
    type: str
    before: str | None
    after: str | None
    rollback: str
    why: str


class Finding(Schema):
    """A finding of a check."""

    code: str
    severity: Severity
    summary: str
    why: str | None = Field(description="the consequence, in one sentence")
    remediation: str | None = Field(description="what to do; code is in back quotes")
    docs_url: str = Field(description="URL of the documentation of the code")
    reference: str
    subject: str
    evidence: dict[str, Any]
    fix: Fix | None


class Record(Schema):
    """A DNS query with its answer."""

    name: str
    type: str
    rcode: str
    ttl: int
    values: list[str]


class CheckResult(Schema):
    """The result of a check."""

    check: str
    verdict: Verdict
    definite: bool
    reason: str | None
    logic_version: int
    elapsed_ms: int
    records: list[Record]
    facts: dict[str, Any]
    findings: list[Finding]


class LastKnownCheck(CheckResult):
    """The latest conclusive result of a check, and why the last scan was undetermined."""

    scan_id: str
    checked_at: datetime
    undetermined_reason: str | None = Field(
        description="why the last scan was undetermined; null if it was not"
    )


class ScoreMark(Schema):
    """A score without details."""

    value: int | None
    grade: str | None
    version: int | None


class CheckScore(Schema):
    """The points of a check, and the maximum."""

    check: str
    points: float
    max_points: int


class Recommendation(Schema):
    """A recommended fix, and the points that it gains."""

    check: str
    code: str
    summary: str
    score_gain: int
    fix: Fix | None


class Score(ScoreMark):
    """The score with the points of each check, and the recommended fixes."""

    points: list[CheckScore]
    recommendations: list[Recommendation]


class ChallengeRecord(Schema):
    """The record to publish to verify the domain."""

    name: str
    type: str
    value: str


class Verification(Schema):
    """The state of the ownership verification."""

    status: str = Field(description="verified or pending")
    method: str
    record: ChallengeRecord
    verified_at: datetime | None


class LastScan(Schema):
    """The last finished scan."""

    id: str
    status: str
    finished_at: datetime | None


class SeverityCounts(Schema):
    """The number of alerts by severity."""

    critical: int
    high: int
    medium: int
    low: int
    info: int


class Domain(Schema):
    """A monitored domain."""

    id: str
    name: str
    unicode_name: str
    has_mixed_scripts: bool
    usage: Usage
    tags: list[str]
    dkim_selectors: list[str]
    schedule: str
    verification: Verification
    score: ScoreMark
    last_scan: LastScan | None
    open_alerts: SeverityCounts | None = Field(description="null in lists unless included")
    created_at: datetime
    updated_at: datetime


class DomainAdded(Schema):
    """The result for one domain of a batch."""

    name: str
    status: str = Field(description="created or rejected")
    id: str | None
    error: dict[str, Any] | None


class DomainsAdded(Schema):
    """The results of a batch of domains."""

    accepted: int
    rejected: int
    results: list[DomainAdded]


class DnsStatus(Schema):
    """The latest results of a domain."""

    domain_id: str
    domain_name: str
    updated_at: datetime | None
    score: Score | None
    checks: list[LastKnownCheck]
    undetermined_checks: dict[str, str] = Field(
        description="checks without any result yet, with the reason"
    )


class DnsChange(Schema):
    """A change of a DNS record set."""

    id: str
    at: datetime
    check: str
    name: str
    type: str
    before: list[str]
    after: list[str]
    findings_appeared: list[str] | None = Field(
        description="codes of findings; null if not recorded"
    )
    findings_resolved: list[str] | None
    scan_id: str


class Summary(Schema):
    """The number of checks by verdict."""

    ok: int
    info: int
    warn: int
    fail: int
    undetermined: int


class ScanHead(Schema):
    """A scan without its results."""

    id: str
    domain_id: str
    domain_name: str
    status: str = Field(description="queued, running, completed, failed or cancelled")
    trigger: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    query_count: int | None
    score: ScoreMark | None
    summary: Summary | None
    error: str | None


class NotEvaluated(Schema):
    """The alerts that were not evaluated, because a root cause explains them."""

    types: list[str]
    reason: str = Field(description='end of the sentence "Not evaluated because …"')


class ScanAlerts(Schema):
    """The ids of the alerts that the scan opened, confirmed and resolved."""

    opened: list[str]
    sustained: list[str]
    resolved: list[str]
    not_evaluated: NotEvaluated | None


class Scan(ScanHead):
    """A scan with its results."""

    coalesced: bool = Field(description="true if it was already running when it was requested")
    checks: list[CheckResult] | None
    alerts: ScanAlerts | None


class BatchMember(Schema):
    """One scan of a batch."""

    id: str
    domain_name: str
    status: str


class ScanBatch(Schema):
    """A batch of scans."""

    id: str
    status: str = Field(description="running or completed")
    counts: dict[str, int]
    requested_at: datetime
    finished_at: datetime | None
    scans: list[BatchMember]


class ScanDiff(Schema):
    """The differences between two scans, with their cause."""

    scan_id: str
    base_id: str | None
    dns_changes: list[dict[str, Any]]
    checks: list[dict[str, Any]]


class SpfTraceStep(Schema):
    """An evaluated SPF term."""

    domain: str
    term: str
    outcome: str


class SpfResult(Schema):
    """The SPF result for mail from an address."""

    result: str
    domain: str
    explanation: str | None
    term: str | None
    term_domain: str | None
    lookups: int
    void_lookups: int
    reason: str | None
    trace: list[SpfTraceStep]


class DaneRecord(Schema):
    """A TLSA record, compared with a certificate."""

    record: str
    usable: bool = Field(description="whether senders use the record")
    matches: bool | None = Field(
        description="null if the record is not usable, or if its CA was not sent"
    )


class DaneHost(Schema):
    """The TLSA records of an MX host, compared with a certificate."""

    host: str
    owner: str | None = Field(description="the name of the TLSA records")
    secure: bool = Field(description="whether DNSSEC protects the records")
    result: str | None = Field(
        description="match, mismatch or undetermined; null if senders use no record of the host"
    )
    reason: str | None = Field(description="why the result is undetermined")
    breaks_delivery: bool | None = Field(description="null if undetermined")
    records: list[DaneRecord]


class DaneResult(Schema):
    """Whether a certificate can be installed on the mail servers of a domain."""

    breaks_delivery: bool | None = Field(
        description="true if senders would stop delivering to one of the hosts; null if that "
        "cannot be determined"
    )
    hosts: list[DaneHost]


class FindingType(Schema):
    """A finding code of a check."""

    code: str
    severity: Severity
    summary: str
    why: str = Field(description="the consequence, in one sentence")
    remediation: str = Field(description="what to do; code is in back quotes")
    docs_url: str = Field(description="URL of the documentation of the code")
    reference: str


class Check(Schema):
    """A check with its finding codes."""

    name: str
    logic_version: int
    question: str
    findings: list[FindingType]


class Account(Schema):
    """The account of a key."""

    id: str
    name: str


class RouteUsage(Schema):
    """The number of requests to one route with one status."""

    route: str
    status: int
    count: int


class Me(Schema):
    """The API key of the request."""

    id: str
    prefix: str = Field(description="public id of the key, which logs show")
    name: str
    scopes: list[str]
    account: Account
    rate_limit: str
    created_at: datetime
    expires_at: datetime | None
    usage_today: list[RouteUsage]
