"""The schemas of policy readiness and policy simulation."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.analysis.policy.published import SinceSource
from app.analysis.policy.verdicts import Verdict
from app.api.http.endpoint import Schema
from app.api.v1.analytics.schemas import HeaderFromCount, MailAnalyticsHeader, RecordLink
from app.protocols.dmarc import Alignment, Policy

VERDICT = (
    "`ready`; `ready_for_quarantine`: quarantine is suitable, but stay there, because reject would "
    "lose legitimate mail; `not_ready`; `not_enough_data`"
)


class Evidence(Schema):
    """The data that the result is based on."""

    window_days: int = Field(description="The length of the period in days.")
    days: int = Field(description="The number of days with reports.")
    messages: int = Field(
        description="all mail of the domain: of its own sources and forwarders, and mail of other "
        "sources that passes; spoofed mail is not the domain's"
    )
    passed: int = Field(description="the mail that passes DMARC")
    reporters: int = Field(description="The number of reporters.")
    days_at_policy: int | None = Field(
        description="full days since the published policy last changed; null if that is unknown"
    )
    sufficient: bool = Field(description="Whether the data is sufficient for a verdict.")
    gaps: list[str] = Field(
        description="what is missing and could hide senders, such as unreadable records"
    )


class Thresholds(Schema):
    """The limits that the verdicts are based on (RFC 9989 §7.4)."""

    days: int = Field(description="minimum number of days with reports")
    messages: int = Field(description="minimum number of messages of the domain")
    days_at_policy: int = Field(
        description="minimum number of days at none before quarantine, and at quarantine before "
        "reject; an unknown time counts as too short"
    )
    legitimate_failing_share: float = Field(
        description="reject is advised only if the legitimate mail that fails is less than this "
        "share of it and the mail that passes"
    )


class SourceBreakdown(RecordLink):
    """Messages of a source."""

    source: str = Field(description="The key of the source.")
    name: str = Field(description="The name of the source.")
    kind: SourceClass = Field(
        description="The classification of the source.", alias="classification"
    )
    messages: int = Field(description="The number of messages.")


class Blocker(SourceBreakdown):
    """A source whose mail would fail, to fix or classify first."""

    share: float = Field(
        description="its failed messages as a share of them and the mail that passes"
    )
    reason: str = Field(description="Why the source blocks the stricter policy.")
    remediation: str = Field(description="What to do about it.")


class RemainingSources(Schema):
    """The sum of the sources beyond the first hundred."""

    sources: int = Field(description="The number of sources.")
    messages: int = Field(description="Their messages.")


class Caveat(Schema):
    """A limit of the data. `messages` is the number of messages concerned, if known."""

    description: str = Field(description="The limit, as a sentence.")
    messages: int | None = Field(
        description="The number of messages concerned; null if it is unknown."
    )


class Change(Schema):
    """The record to publish, and the record for a rollback. `before` is null without a record."""

    remarks: list[str] = Field(description="published tags that the new record leaves out, and why")

    name: str = Field(description="The DNS name of the record.")
    type: str = Field(description="The type of the record.")
    before: str | None = Field(description="The current record; null if there is none.")
    after: str = Field(description="The record to publish.")
    rollback: str = Field(description="The record to publish for a rollback.")


class PolicyStep(Schema):
    """The next step of one policy tag."""

    tag: Literal["p", "sp", "np"] = Field(description="The policy tag.")
    current: Policy = Field(description="The current value.")
    proposed: Policy = Field(description="The next value.")
    ready: bool | None = Field(
        description="whether the step is advised; null if the data is insufficient"
    )
    verdict: Verdict = Field(description=VERDICT)
    reason: str = Field(description="why, as a sentence")
    messages: int = Field(description="reported messages that the policy applies to")
    blockers: list[Blocker] = Field(description="The sources to fix or classify first.")
    legitimate_failing: int = Field(description="legitimate messages that would fail")
    legitimate_failing_share: float = Field(
        description="`legitimateFailing` as a share of it and the mail that passes"
    )
    legitimate_failing_sources: list[SourceBreakdown] = Field(
        description="The sources of these messages, up to 100."
    )
    other_legitimate_failing: RemainingSources = Field(
        description="The sum of the other sources of legitimate messages."
    )
    spoofed: int = Field(description="spoofed messages that the policy would stop")
    spoofed_sources: list[SourceBreakdown] = Field(
        description="The sources of spoofed messages, up to 100."
    )
    other_spoofed: RemainingSources = Field(
        description="The sum of the other sources of spoofed messages."
    )
    caveats: list[Caveat] = Field(description="What reports do not show.")
    change: Change | None = Field(
        description="The record to publish; null if the published record cannot be changed."
    )


class Readiness(MailAnalyticsHeader):
    """Whether the domain is ready for a stricter policy."""

    ready: bool = Field(description="Whether the first step is advised.")
    verdict: Verdict | None = Field(
        description=f"the verdict on the first step; null if no step is left. {VERDICT}"
    )
    reason: str = Field(description="why, as a sentence")
    fully_enforced: bool = Field(
        description="whether the policy is reject for the domain and all subdomains"
    )
    record: str | None = Field(description="The published DMARC record; null if there is none.")
    policy_since: datetime | None = Field(
        description="since when the current policy is unchanged, as far as scans and trusted "
        "reports show; null if that is unknown"
    )
    policy_since_source: SinceSource | None = Field(
        description="`scans`: a scan saw the policy first at that time; `reports`: reports show it "
        "from an earlier time on, without a gap; null if `policySince` is"
    )
    evidence: Evidence = Field(description="The data behind the verdict.")
    thresholds: Thresholds = Field(description="The limits behind the verdict.")
    unmet_requirements: list[str] = Field(description="Why the data is insufficient, as sentences.")
    steps: list[PolicyStep] = Field(
        description="One step for each of `p`, `sp` and `np` that is not `reject` yet."
    )


class ProposedPolicy(Schema):
    """The simulated policy."""

    p: Policy = Field(description="The policy of the domain.")
    sp: Policy = Field(description="The policy of subdomains.")
    np: Policy = Field(description="The policy of subdomains that do not exist.")
    adkim: Alignment = Field(description="The alignment mode of DKIM.")
    aspf: Alignment = Field(description="The alignment mode of SPF.")


class AffectedReporter(RecordLink):
    """A reporter of affected messages."""

    reporter: str = Field(description="The domain of the reporter.")
    messages: int = Field(description="Its affected messages.")


class AffectedPart(Schema):
    """A part of the affected messages, by the classification of their sources."""

    messages: int = Field(description="The number of messages.")
    forwarded: int = Field(description="messages of them that forwarders and mailing lists relayed")
    source_count: int = Field(description="The number of sources.")


class Simulation(MailAnalyticsHeader):
    """The effect of another policy on the reported mail."""

    policy: ProposedPolicy = Field(
        description="The simulated policy, with the published values of omitted tags."
    )
    remove_spf: list[str] = Field(description="The terms that are removed from the SPF record.")
    add_dkim: list[str] = Field(description="The sources that are assumed to sign with DKIM.")
    messages: int = Field(description="The number of reported messages.")
    passed: int = Field(description="Messages that would pass DMARC.")
    dispositions: dict[str, int] = Field(
        description="The number of messages by simulated disposition."
    )
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
    affected_records_url: str = Field(description="The URL of the records of affected messages.")
    affected_records_url_exact: bool = Field(
        description="Whether the list has exactly the affected records."
    )
    newly_affected: int = Field(description="affected messages that were delivered")
    no_longer_affected: int = Field(
        description="messages that were treated more strictly than in the simulation"
    )
    sources: list[SourceBreakdown] = Field(
        description="The sources of affected messages, the largest first."
    )
    source_count: int = Field(description="The number of sources of affected messages.")
    address_count: int = Field(description="The number of addresses of affected messages.")
    header_from: list[HeaderFromCount] = Field(
        description="The affected messages by domain in the From header."
    )
    reporters: list[AffectedReporter] = Field(description="The affected messages by reporter.")
    reporter_counts_are_upper_bounds: bool = Field(
        description="whether messages by reporter include some that would pass"
    )
    confidence: Literal["high", "medium", "low"] = Field(
        description="The confidence in the result."
    )
    caveats: list[Caveat] = Field(description="What the simulation cannot know.")
    records_url: str = Field(description="The URL of all records of the period.")
