"""The schemas of the analytics routes."""

from datetime import datetime

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.api.http.endpoint import Schema


class AnalyticsHeader(Schema):
    """The domain and the period of a response."""

    domain_id: str
    domain_name: str
    from_at: datetime = Field(alias="from")
    to_at: datetime = Field(alias="to")


class MailAnalyticsHeader(AnalyticsHeader):
    """The domain and the period of a response about aggregate reports."""

    pending_reports: int = Field(
        description="stored reports that are not included yet; nearly always 0"
    )
    partial_reports: int = Field(
        description="reports with records that could not be read, which are not included"
    )


class Totals(Schema):
    """Messages, and how many of them passed DMARC, aligned DKIM and aligned SPF."""

    messages: int
    passed: int
    dkim_aligned: int
    spf_aligned: int
    pass_rate: float | None = Field(description="from 0 to 1; null without messages")


class Period(Totals):
    """The totals of a period."""

    dispositions: dict[str, int]
    unverified: int = Field(description="messages in reports with an unverified sender")
    reporters: int
    records_url: str = Field(
        description="URL of the records behind the figure; their countInPeriod adds up to it"
    )


class Bucket(Totals):
    """One interval of a series. `start` has the offset of the time zone."""

    start: datetime


class Group(Totals):
    """The messages of one value of `groupBy`. `series` has the messages by interval."""

    key: str
    previous_messages: int
    series: list[int]
    records_url: str


class OtherGroups(Totals):
    """The sum of the groups beyond the largest twenty."""

    groups: int


class DmarcMail(MailAnalyticsHeader):
    """The messages of a domain by DMARC result and disposition."""

    interval: str
    tz: str
    group_by: str | None
    totals: Period
    previous_period: Period
    series: list[Bucket]
    groups: list[Group]
    other: OtherGroups
    multi_day_reports: int = Field(
        description="reports over several days, whose messages are distributed equally"
    )
    records_url: str = Field(description="URL of the records behind the totals")


class Sessions(Schema):
    """Counts of SMTP sessions."""

    successful: int
    failed: int
    failure_rate: float | None


class AllSessions(Sessions):
    """All sessions. If `overlapping`, some are counted once for each policy."""

    overlapping: bool
    records_url: str = Field(description="URL of the records behind the figure")


class PolicyType(Sessions):
    """The sessions of one policy type."""

    policy_type: str
    records_url: str


class ResultType(Schema):
    """Failed sessions of one result type."""

    result_type: str
    sessions: int
    records_url: str = Field(
        description="URL of the records behind the figure; their failedSessions add up to it"
    )


class MxHost(Schema):
    """Failed sessions with one MX host. `host` is null if no MX host was selected."""

    host: str | None
    sessions: int
    result_types: dict[str, int] = Field(
        description="the most frequent result types, if there are many"
    )
    records_url: str


class TlsReporter(Sessions):
    """The sessions of one reporter."""

    reporter: str
    records_url: str


class TlsBucket(Sessions):
    """One interval of a series."""

    start: datetime


class TlsSessions(AnalyticsHeader):
    """The results of TLS sessions with a domain's MX hosts."""

    partial_reports: int = Field(
        description="reports with policies or failures that could not be read, which are not "
        "included"
    )
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
    """The URL of the records of a figure."""

    records_url: str
    records_url_exact: bool = Field(
        description="Whether the list has exactly the records of the figure."
    )


class Address(RecordLink):
    """An address of a source. `reverseName` is only set if it resolves back to the address."""

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
    """Messages with one domain in the From header."""

    name: str
    messages: int


class Decision(Schema):
    """The manual classification of a source."""

    decision: str = Field(description="approved, ignored or blocked")
    note: str | None
    actor: str


class KnownService(Schema):
    """A well-known sending service, with the URL of its setup guide."""

    category: str
    setup: str


class ClassificationShare(Schema):
    """The messages of a source with one classification."""

    kind: SourceClass
    reason: str
    messages: int


class Source(Totals, RecordLink):
    """A source that sends as the domain."""

    key: str
    name: str
    service: KnownService | None
    confidence: str = Field(description="confidence that the addresses belong to the source")
    evidence: str
    kind: SourceClass = Field(alias="classification")
    reason: str
    reasons: list[ClassificationShare]
    decision: Decision | None
    first_seen_at: datetime
    last_seen_at: datetime
    address_count: int
    addresses_truncated: bool = Field(description="whether addresses with few messages are omitted")
    addresses: list[Address]
    signers: list[Signer]
    envelopes: list[EnvelopeFromCount]
    header_from: list[HeaderFromCount]
    countries: dict[str, int]


class OtherSources(Schema):
    """The sum of the sources beyond the limit."""

    sources: int
    messages: int
    passed: int


class TermUse(Schema):
    """A term of the SPF record without passing mail."""

    term: str
    certain: bool = Field(
        description="false if the term is not fully resolved, or few days have reports"
    )


class SelectorUse(RecordLink):
    """A DKIM selector of the domain. `failed` counts messages with an invalid signature.

    Add dkimResult=pass to recordsUrl for `messages`, dkimResult=not_pass for `failed`.
    """

    selector: str
    messages: int
    failed: int
    published: bool | None


class Unused(Schema):
    """SPF terms and DKIM selectors without passing mail in the period."""

    spf_terms: list[TermUse]
    selectors: list[SelectorUse]


class Subdomain(RecordLink):
    """A subdomain in the From header."""

    name: str
    messages: int
    passed: int
    first_seen_at: datetime


class Sources(MailAnalyticsHeader):
    """The sources that send as a domain."""

    messages: int
    days: int = Field(description="days with reports")
    reporters: int
    sources: list[Source]
    other: OtherSources
    unused: Unused
    selectors: list[SelectorUse]
    subdomains: list[Subdomain]
    records_url: str


class Reporter(Schema):
    """A reporter and the interval of its reports."""

    reporter: str
    messages: int
    days: int
    first_at: datetime
    last_at: datetime
    typical_interval_hours: int | None
    stopped: bool
    records_url: str


class Gap(Schema):
    """Days (UTC) without any report. `to` is exclusive."""

    from_at: datetime = Field(alias="from")
    to_at: datetime = Field(alias="to")


class Coverage(MailAnalyticsHeader):
    """The reporters of a domain, and the days without reports."""

    reporters: list[Reporter]
    gaps: list[Gap]
