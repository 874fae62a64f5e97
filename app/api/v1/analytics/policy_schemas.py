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
    enough: bool


class SourceBreakdown(RecordLink):
    """Some messages of a source."""

    source: str
    name: str
    kind: SourceClass = Field(alias="class")
    messages: int


class Blocker(SourceBreakdown):
    """A source that would lose good mail; share: of the good mail."""

    share: float
    why: str
    what_to_do: str


class OtherSources(Schema):
    """The sources beyond the first hundred, added up."""

    sources: int
    messages: int


class Caveat(Schema):
    """What the reports cannot tell; messages: those concerned, if that can be counted."""

    what: str
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
    wanted: Policy
    ready: bool | None = Field(description="null: too little is known")
    blockers: list[Blocker]
    lost: int = Field(description="good messages that it would have met all the same")
    lost_sources: list[SourceBreakdown]
    lost_others: OtherSources
    forged: int = Field(description="messages that it is there for")
    forged_sources: list[SourceBreakdown]
    forged_others: OtherSources
    unknowns: list[Caveat]
    change: Change | None


class Readiness(MailAnalyticsHeader):
    """Whether the policy may go one step up."""

    ready: bool
    done: bool = Field(description="it asks for reject everywhere")
    record: str | None
    evidence: Evidence
    missing: list[str]
    steps: list[PolicyStep]


class ProposedPolicy(Schema):
    """The policy that was tried."""

    p: Policy
    sp: Policy
    np: Policy
    adkim: str
    aspf: str


class AffectedReporter(RecordLink):
    """A receiver that told of such mail."""

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
    hit: int = Field(description="messages that quarantine or reject would have met")
    hit_records: str
    hit_records_exact: bool
    newly_hit: int = Field(description="of these, delivered when they came")
    spared: int = Field(description="met by more than they would be")
    sources: list[SourceBreakdown]
    source_count: int
    address_count: int
    header_from: list[HeaderFromCount]
    reporters: list[AffectedReporter]
    reporters_at_most: bool = Field(
        description="the reporters' messages include some of the same kind that would pass"
    )
    confidence: str
    unknowns: list[Caveat]
    records: str
