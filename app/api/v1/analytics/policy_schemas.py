"""The schemas of policy readiness and policy simulation."""

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.api.http.endpoint import Schema
from app.api.v1.analytics.schemas import HeaderFromCount, MailAnalyticsHeader, RecordLink
from app.protocols.dmarc import Policy


class Evidence(Schema):
    """The data that the result is based on."""

    window_days: int
    days: int
    messages: int
    reporters: int
    sufficient: bool


class SourceBreakdown(RecordLink):
    """Messages of a source."""

    source: str
    name: str
    kind: SourceClass = Field(alias="classification")
    messages: int


class Blocker(SourceBreakdown):
    """A source with legitimate mail that would fail. `share` is its part of all legitimate mail."""

    share: float
    reason: str
    remediation: str


class RemainingSources(Schema):
    """The sum of the sources beyond the first hundred."""

    sources: int
    messages: int


class Caveat(Schema):
    """A limit of the data. `messages` is the number of messages concerned, if known."""

    description: str
    messages: int | None


class Change(Schema):
    """The record to publish, and the record for a rollback. `before` is null without a record."""

    name: str
    type: str
    before: str | None
    after: str
    rollback: str


class PolicyStep(Schema):
    """The next step of one policy tag."""

    tag: str
    current: Policy
    proposed: Policy
    ready: bool | None = Field(description="null if the data is insufficient")
    blockers: list[Blocker]
    legitimate_failing: int = Field(description="legitimate messages that would fail")
    legitimate_failing_sources: list[SourceBreakdown]
    other_legitimate_failing: RemainingSources
    spoofed: int = Field(description="spoofed messages that the policy would stop")
    spoofed_sources: list[SourceBreakdown]
    other_spoofed: RemainingSources
    caveats: list[Caveat]
    change: Change | None


class Readiness(MailAnalyticsHeader):
    """Whether the domain is ready for a stricter policy."""

    ready: bool
    fully_enforced: bool = Field(
        description="whether the policy is reject for the domain and all subdomains"
    )
    record: str | None
    evidence: Evidence
    unmet_requirements: list[str]
    steps: list[PolicyStep]


class ProposedPolicy(Schema):
    """The simulated policy."""

    p: Policy
    sp: Policy
    np: Policy
    adkim: str
    aspf: str


class AffectedReporter(RecordLink):
    """A reporter of affected messages."""

    reporter: str
    messages: int


class Simulation(MailAnalyticsHeader):
    """The effect of another policy on the reported mail."""

    policy: ProposedPolicy
    remove_spf: list[str]
    add_dkim: list[str]
    messages: int
    passed: int
    dispositions: dict[str, int]
    affected: int = Field(description="messages that would be quarantined or rejected")
    affected_records_url: str
    affected_records_url_exact: bool
    newly_affected: int = Field(description="affected messages that were delivered")
    no_longer_affected: int = Field(
        description="messages that were treated more strictly than in the simulation"
    )
    sources: list[SourceBreakdown]
    source_count: int
    address_count: int
    header_from: list[HeaderFromCount]
    reporters: list[AffectedReporter]
    reporter_counts_are_upper_bounds: bool = Field(
        description="whether messages by reporter include some that would pass"
    )
    confidence: str
    caveats: list[Caveat]
    records_url: str
