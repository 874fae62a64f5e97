"""Whether a policy may be raised, and what another would do, field by field as it is sent."""

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.api.http.endpoint import Schema
from app.api.v1.analytics.schemas import HeaderFromCount, MailAnalyticsHeader, RecordLink
from app.protocols.dmarc import Policy


class Evidence(Schema):
    """What an answer rests on."""

    window_days: int
    days: int
    messages: int
    reporters: int
    sufficient: bool


class SourceBreakdown(RecordLink):
    """Some messages of a source."""

    source: str
    name: str
    kind: SourceClass = Field(alias="classification")
    messages: int


class Blocker(SourceBreakdown):
    """A source that would lose good mail; share: of the good mail."""

    share: float
    reason: str
    remediation: str


class RemainingSources(Schema):
    """The sources beyond the first hundred, added up."""

    sources: int
    messages: int


class Caveat(Schema):
    """What the reports cannot tell; messages: those concerned, if that can be counted."""

    description: str
    messages: int | None


class Change(Schema):
    """The record to publish, and what to go back to; before is null if there is none yet."""

    name: str
    type: str
    before: str | None
    after: str
    rollback: str


class PolicyStep(Schema):
    """One tag, one step further."""

    tag: str
    current: Policy
    proposed: Policy
    ready: bool | None = Field(description="null: too little is known")
    blockers: list[Blocker]
    legitimate_failing: int = Field(description="good messages that it would have met all the same")
    legitimate_failing_sources: list[SourceBreakdown]
    other_legitimate_failing: RemainingSources
    spoofed: int = Field(description="messages that it is there for")
    spoofed_sources: list[SourceBreakdown]
    other_spoofed: RemainingSources
    caveats: list[Caveat]
    change: Change | None


class Readiness(MailAnalyticsHeader):
    """Whether the policy may go one step up."""

    ready: bool
    fully_enforced: bool = Field(description="it asks for reject everywhere")
    record: str | None
    evidence: Evidence
    unmet_requirements: list[str]
    steps: list[PolicyStep]


class ProposedPolicy(Schema):
    """The policy that was tried."""

    p: Policy
    sp: Policy
    np: Policy
    adkim: str
    aspf: str


class AffectedReporter(RecordLink):
    """A receiver that reported such mail."""

    reporter: str
    messages: int


class Simulation(MailAnalyticsHeader):
    """What another policy would have done to the stored mail."""

    policy: ProposedPolicy
    remove_spf: list[str]
    add_dkim: list[str]
    messages: int
    passed: int
    dispositions: dict[str, int]
    affected: int = Field(description="messages that quarantine or reject would have met")
    affected_records_url: str
    affected_records_url_exact: bool
    newly_affected: int = Field(description="of these, delivered when they came")
    no_longer_affected: int = Field(description="met by more than they would be")
    sources: list[SourceBreakdown]
    source_count: int
    address_count: int
    header_from: list[HeaderFromCount]
    reporters: list[AffectedReporter]
    reporter_counts_are_upper_bounds: bool = Field(
        description="the reporters' messages include some of the same kind that would pass"
    )
    confidence: str
    caveats: list[Caveat]
    records_url: str
