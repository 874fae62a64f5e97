"""The things of the API as its documents describe them; field by field as they are sent."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema
from app.checks.engine.types import Severity, Usage, Verdict


class Fix(Schema):
    """What to change in DNS, exactly, how to take it back, and why."""

    action: str = Field(description="publish, replace or remove")
    name: str
    type: str
    before: str | None
    after: str | None
    rollback: str
    why: str


class Finding(Schema):
    """What a check saw."""

    code: str
    severity: Severity
    summary: str
    reference: str
    subject: str
    evidence: dict[str, Any]
    fix: Fix | None


class Record(Schema):
    """One thing that was asked, and what was heard."""

    name: str
    type: str
    rcode: str
    ttl: int
    values: list[str]


class CheckResult(Schema):
    """What one check said."""

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
    """The last definite judgement of one check, and why the last scan could not judge, if so."""

    scan_id: str
    judged_at: datetime
    undetermined_reason: str | None = Field(
        description="why the last scan could not tell; null if it could"
    )


class ScoreMark(Schema):
    """The score in short."""

    value: int | None
    grade: str | None
    version: int | None


class CheckScore(Schema):
    """What one check is worth, and what it got."""

    check: str
    points: float
    max_points: int


class Recommendation(Schema):
    """What to fix, and how many points of 100 that is worth."""

    check: str
    code: str
    summary: str
    score_gain: int
    fix: Fix | None


class Score(ScoreMark):
    """The score, how it came about, and what to fix next."""

    points: list[CheckScore]
    recommendations: list[Recommendation]


class ChallengeRecord(Schema):
    """The record that proves control of the domain."""

    name: str
    type: str
    value: str


class Verification(Schema):
    """Whether the account has shown that it controls the domain."""

    status: str = Field(description="verified or pending")
    method: str
    record: ChallengeRecord
    verified_at: datetime | None


class LastScan(Schema):
    """The last scan that ended."""

    id: str
    status: str
    finished_at: datetime | None


class SeverityCounts(Schema):
    """How many, by severity."""

    critical: int
    high: int
    medium: int
    low: int
    info: int


class Domain(Schema):
    """A domain that the account watches."""

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
    """What is known of a domain's DNS."""

    domain_id: str
    domain_name: str
    updated_at: datetime | None
    score: Score | None
    checks: list[LastKnownCheck]
    undetermined_checks: dict[str, str] = Field(
        description="checks that could not be judged yet, and why"
    )


class DnsChange(Schema):
    """One record set that changed."""

    id: str
    at: datetime
    check: str
    name: str
    type: str
    before: list[str]
    after: list[str]
    findings_appeared: list[str] | None = Field(
        description="codes of findings; null: it was not noted"
    )
    findings_resolved: list[str] | None
    scan_id: str


class Summary(Schema):
    """How many checks came to each verdict."""

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


class ScanAlerts(Schema):
    """The alerts that the scan opened, kept up and resolved, by id."""

    opened: list[str]
    sustained: list[str]
    resolved: list[str]


class Scan(ScanHead):
    """A scan, whole."""

    coalesced: bool = Field(description="true if it was already running when it was requested")
    checks: list[CheckResult] | None
    alerts: ScanAlerts | None


class BatchMember(Schema):
    """One scan of a batch."""

    id: str
    domain_name: str
    status: str


class ScanBatch(Schema):
    """Scans that were requested together."""

    id: str
    status: str = Field(description="running or completed")
    counts: dict[str, int]
    requested_at: datetime
    finished_at: datetime | None
    scans: list[BatchMember]


class ScanDiff(Schema):
    """What is different between two scans, and whether DNS or our rules changed."""

    scan_id: str
    base_id: str | None
    dns_changes: list[dict[str, Any]]
    checks: list[dict[str, Any]]


class SpfTraceStep(Schema):
    """One term that was tried."""

    domain: str
    term: str
    outcome: str


class SpfResult(Schema):
    """What a receiver makes of mail from an address."""

    result: str
    domain: str
    explanation: str | None
    term: str | None
    term_domain: str | None
    lookups: int
    void_lookups: int
    reason: str | None
    trace: list[SpfTraceStep]


class FindingType(Schema):
    """One code that a check can find."""

    code: str
    severity: Severity
    summary: str
    reference: str


class Check(Schema):
    """One check of the catalogue."""

    name: str
    logic_version: int
    question: str
    findings: list[FindingType]


class Account(Schema):
    """An account."""

    id: str
    name: str


class RouteUsage(Schema):
    """How often one route ended with one status."""

    route: str
    status: int
    count: int


class Me(Schema):
    """The key that calls."""

    id: str
    prefix: str = Field(description="what its tokens begin with, as histories name it")
    name: str
    scopes: list[str]
    account: Account
    rate_limit: str
    created_at: datetime
    expires_at: datetime | None
    usage_today: list[RouteUsage]
