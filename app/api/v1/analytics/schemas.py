"""The things of the analytics routes, field by field as they are sent."""

from datetime import datetime

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.api.http.endpoint import Schema


class AnalyticsHeader(Schema):
    """The domain and the time that an answer is about."""

    domain_id: str
    domain_name: str
    from_at: datetime = Field(alias="from")
    to_at: datetime = Field(alias="to")


class MailAnalyticsHeader(AnalyticsHeader):
    """The same, of an answer from aggregate reports."""

    pending_reports: int = Field(
        description="that are stored and not in this answer yet: nearly always 0"
    )


class Totals(Schema):
    """Messages, and how many passed: DMARC, DKIM in alignment, SPF in alignment."""

    messages: int
    passed: int
    dkim_aligned: int
    spf_aligned: int
    pass_rate: float | None = Field(description="0 to 1; null without messages")


class Period(Totals):
    """The totals of a time."""

    dispositions: dict[str, int]
    unverified: int = Field(description="messages of reports that anyone could have sent")
    reporters: int
    records_url: str = Field(
        description="where its records are listed: their countInPeriod adds up to it"
    )


class Bucket(Totals):
    """One interval; its start has the zone's offset."""

    start: datetime


class Group(Totals):
    """What one value of groupBy has; series: messages by interval."""

    key: str
    previous_messages: int
    series: list[int]
    records_url: str


class OtherGroups(Totals):
    """The groups beyond the first twenty, added up."""

    groups: int


class DmarcMail(MailAnalyticsHeader):
    """Results of a domain's mail."""

    interval: str
    tz: str
    group_by: str | None
    totals: Period
    previous_period: Period
    series: list[Bucket]
    groups: list[Group]
    other: OtherGroups
    multi_day_reports: int = Field(description="reports over several days, counted in equal parts")
    records_url: str = Field(description="as in totals")


class Sessions(Schema):
    """SMTP sessions."""

    successful: int
    failed: int
    failure_rate: float | None


class AllSessions(Sessions):
    """Over all policies; overlapping: some sessions are in it twice, once for each policy."""

    overlapping: bool
    records_url: str = Field(description="where what they are added up from is listed")


class PolicyType(Sessions):
    """The sessions under one type of policy."""

    policy_type: str
    records_url: str


class ResultType(Schema):
    """Failed sessions by what failed."""

    result_type: str
    sessions: int
    records_url: str = Field(description="where they are listed: their failedSessions add up to it")


class MxHost(Schema):
    """Failed sessions with one MX host; null: they failed before there was one."""

    host: str | None
    sessions: int
    result_types: dict[str, int] = Field(
        description="where there are very many, those with the most sessions"
    )
    records_url: str


class TlsReporter(Sessions):
    """What one reporter saw."""

    reporter: str
    records_url: str


class TlsBucket(Sessions):
    """One interval."""

    start: datetime


class TlsSessions(AnalyticsHeader):
    """Results of the TLS sessions to a domain's MX hosts."""

    interval: str
    tz: str
    reports: int
    totals: AllSessions
    previous_period: AllSessions
    policy_types: list[PolicyType]
    result_types: list[ResultType]
    mx_hosts: list[MxHost]
    reporters: list[TlsReporter]
    series: list[TlsBucket]
    records_url: str


class RecordLink(Schema):
    """Where a figure's records are listed."""

    records_url: str
    records_url_exact: bool = Field(
        description="false: there are others among them, or not all of the figure's"
    )


class Address(RecordLink):
    """An address of a source; reverseName only if it leads back to the address."""

    address: str
    messages: int
    reverse_name: str | None
    asn: int | None
    country: str | None


class Signer(RecordLink):
    """DKIM signatures of one domain and selector, by result."""

    domain: str
    selector: str
    result: str
    messages: int


class EnvelopeFromCount(RecordLink):
    """SPF results of one envelope domain."""

    domain: str
    result: str
    messages: int


class HeaderFromCount(RecordLink):
    """Messages from one author's domain."""

    name: str
    messages: int


class Decision(Schema):
    """What a person has said of the source."""

    decision: str = Field(description="approved, ignored or blocked")
    note: str | None
    actor: str


class KnownService(Schema):
    """A well-known service, and where it says how a domain is set up."""

    category: str
    setup: str


class ClassificationShare(Schema):
    """How many messages count as this, and why."""

    kind: SourceClass
    reason: str
    messages: int


class Source(Totals, RecordLink):
    """A service that sends as the domain."""

    key: str
    name: str
    service: KnownService | None
    confidence: str = Field(description="how surely the addresses are the service's")
    evidence: str
    kind: SourceClass = Field(alias="classification")
    reason: str
    reasons: list[ClassificationShare]
    decision: Decision | None
    first_seen_at: datetime
    last_seen_at: datetime
    address_count: int
    addresses_truncated: bool = Field(description="there are others that sent very little")
    addresses: list[Address]
    signers: list[Signer]
    envelopes: list[EnvelopeFromCount]
    header_from: list[HeaderFromCount]
    countries: dict[str, int]


class OtherSources(Schema):
    """The sources beyond the limit, added up."""

    sources: int
    messages: int
    passed: int


class TermUse(Schema):
    """A term of the SPF record that nothing passed by."""

    term: str
    certain: bool = Field(
        description="false: it may let pass what no scan has heard of, or few days have reports"
    )


class SelectorUse(RecordLink):
    """A DKIM selector of the domain; failed: its signature was there and not valid.

    With dkimResult=pass the records are those of messages, with dkimResult=not_pass of failed.
    """

    selector: str
    messages: int
    failed: int
    published: bool | None


class Unused(Schema):
    """What is published for senders and not used in this time."""

    spf_terms: list[TermUse]
    selectors: list[SelectorUse]


class Subdomain(RecordLink):
    """A name below the domain that mail says it is from."""

    name: str
    messages: int
    passed: int
    first_seen_at: datetime


class Sources(MailAnalyticsHeader):
    """Who sends as a domain."""

    messages: int
    days: int = Field(description="with reports")
    reporters: int
    sources: list[Source]
    other: OtherSources
    unused: Unused
    selectors: list[SelectorUse]
    subdomains: list[Subdomain]
    records_url: str


class Reporter(Schema):
    """Who reports, and how regularly."""

    reporter: str
    messages: int
    days: int
    first_at: datetime
    last_at: datetime
    typical_interval_hours: int | None
    stopped: bool
    records_url: str


class Gap(Schema):
    """Days of UTC without any report; to is not in it."""

    from_at: datetime = Field(alias="from")
    to_at: datetime = Field(alias="to")


class Coverage(MailAnalyticsHeader):
    """Who reports about a domain."""

    reporters: list[Reporter]
    gaps: list[Gap]
