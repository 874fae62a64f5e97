"""The schemas of policy readiness and policy simulation."""

from datetime import datetime

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.analysis.policy.published import SinceSource
from app.analysis.policy.verdicts import Verdict
from app.api.http.endpoint import Schema
from app.api.v1.analytics.schemas import HeaderFromCount, MailAnalyticsHeader, RecordLink
from app.protocols.dmarc import Policy

VERDICT = (
    "`ready`; `ready_for_quarantine`: quarantine is suitable, but stay there, because reject would "
    "lose legitimate mail; `not_ready`; `not_enough_data`"
)


class Evidence(Schema):
    """The data that the result is based on."""

    window_days: int
    days: int
    messages: int = Field(
        description="all mail of the domain: of its own sources and forwarders, and mail of other "
        "sources that passes; spoofed mail is not the domain's"
    )
    reporters: int
    days_at_policy: int | None = Field(
        description="full days since the published policy last changed; null if that is unknown"
    )
    sufficient: bool


class Thresholds(Schema):
    """The limits that the verdicts are based on (RFC 9989 §7.4)."""

    days: int = Field(description="minimum number of days with reports")
    messages: int = Field(description="minimum number of messages of the domain")
    days_at_policy: int = Field(
        description="minimum number of days at none before quarantine, and at quarantine before "
        "reject; an unknown time counts as too short"
    )
    legitimate_failing_share: float = Field(
        description="reject is advised only if less than this share of all mail of the domain is "
        "legitimate mail that fails"
    )


class SourceBreakdown(RecordLink):
    """Messages of a source."""

    source: str
    name: str
    kind: SourceClass = Field(alias="classification")
    messages: int


class Blocker(SourceBreakdown):
    """A source whose mail would fail, to fix or classify first."""

    share: float = Field(description="its failed messages as a share of all mail of the domain")
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

    remarks: list[str] = Field(description="published tags that the new record leaves out, and why")

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
    ready: bool | None = Field(
        description="whether the step is advised; null if the data is insufficient"
    )
    verdict: Verdict = Field(description=VERDICT)
    reason: str = Field(description="why, as a sentence")
    messages: int = Field(description="reported messages that the policy applies to")
    blockers: list[Blocker]
    legitimate_failing: int = Field(description="legitimate messages that would fail")
    legitimate_failing_share: float = Field(
        description="`legitimateFailing` as a share of all mail of the domain"
    )
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
    verdict: Verdict | None = Field(
        description=f"the verdict on the first step; null if no step is left. {VERDICT}"
    )
    reason: str = Field(description="why, as a sentence")
    fully_enforced: bool = Field(
        description="whether the policy is reject for the domain and all subdomains"
    )
    record: str | None
    policy_since: datetime | None = Field(
        description="since when the current policy is unchanged, as far as scans and trusted "
        "reports show; null if that is unknown"
    )
    policy_since_source: SinceSource | None = Field(
        description="`scans`: a scan saw the policy first at that time; `reports`: reports show it "
        "from an earlier time on, without a gap; null if `policySince` is"
    )
    evidence: Evidence
    thresholds: Thresholds
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


class AffectedPart(Schema):
    """A part of the affected messages, by the classification of their sources."""

    messages: int
    forwarded: int = Field(description="messages of them that forwarders and mailing lists relayed")
    source_count: int


class Simulation(MailAnalyticsHeader):
    """The effect of another policy on the reported mail."""

    policy: ProposedPolicy
    remove_spf: list[str]
    add_dkim: list[str]
    messages: int
    passed: int
    dispositions: dict[str, int]
    affected: int = Field(description="messages that would be quarantined or rejected")
    own_affected: AffectedPart = Field(
        description="your own mail that is affected: of own and approved sources, also if "
        "forwarders relayed it"
    )
    to_review: AffectedPart = Field(
        description="affected mail of unknown sources; classify them first"
    )
    spoofed_stopped: AffectedPart = Field(
        description="spoofed mail that the policy stops: of suspicious and blocked sources"
    )
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
