"""The schemas of the analytics routes."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.periods import Interval
from app.api.http.endpoint import Schema


class AnalyticsHeader(Schema):
    """The domain and the period of a response."""

    domain_id: str = Field(description="The id of the domain.")
    domain_name: str = Field(description="The name of the domain.")
    from_at: datetime = Field(description="The start of the period, inclusive.", alias="from")
    to_at: datetime = Field(description="The end of the period, exclusive.", alias="to")


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

    messages: int = Field(description="The number of messages.")
    passed: int = Field(description="Messages that passed DMARC.")
    dkim_aligned: int = Field(description="Messages with an aligned DKIM pass.")
    spf_aligned: int = Field(description="Messages with an aligned SPF pass.")
    pass_rate: float | None = Field(description="from 0 to 1; null without messages")


class Period(Totals):
    """The totals of a period."""

    dispositions: dict[str, int] = Field(description="The number of messages by disposition.")
    unverified: int = Field(description="messages in reports with an unverified sender")
    reporters: int = Field(description="The number of reporters.")
    records_url: str = Field(
        description="URL of the records behind the figure; their countInPeriod adds up to it"
    )


class Bucket(Totals):
    """One interval of a series. `start` has the offset of the time zone."""

    start: datetime = Field(
        description="The start of the interval, with the offset of the time zone."
    )


class Group(Totals):
    """The messages of one value of `groupBy`. `series` has the messages by interval."""

    key: str = Field(description="The value of `groupBy`.")
    previous_messages: int = Field(description="The number of messages in the previous period.")
    series: list[int] = Field(description="The number of messages by interval.")
    records_url: str = Field(description="The URL of the records of the group.")


class OtherGroups(Totals):
    """The sum of the groups beyond the largest twenty."""

    groups: int = Field(description="The number of groups.")


class DmarcMail(MailAnalyticsHeader):
    """The messages of a domain by DMARC result and disposition."""

    interval: Interval = Field(description="The interval of the series.")
    tz: str = Field(description="The time zone of the series.")
    group_by: Literal["source", "reporter", "disposition", "headerFrom", "result"] | None = Field(
        description="The property that groups the messages; null without groups."
    )
    totals: Period = Field(description="The figures of the period.")
    previous_period: Period = Field(
        description="The figures of the period of the same length before it."
    )
    series: list[Bucket] = Field(description="The figures by interval.")
    groups: list[Group] = Field(description="The largest groups; empty without `groupBy`.")
    other: OtherGroups = Field(description="The sum of the other groups.")
    multi_day_reports: int = Field(
        description="reports over several days, whose messages are distributed equally"
    )
    records_url: str = Field(description="URL of the records behind the totals")


class Sessions(Schema):
    """Counts of SMTP sessions."""

    successful: int = Field(description="The number of successful sessions.")
    failed: int = Field(description="The number of failed sessions.")
    failure_rate: float | None = Field(
        description="The share of failed sessions, from 0 to 1; null without sessions."
    )


class AllSessions(Sessions):
    """All sessions. If `overlapping`, some are counted once for each policy."""

    overlapping: bool = Field(
        description="Whether sessions are counted once for each of several policies."
    )
    records_url: str = Field(description="URL of the records behind the figure")


class PolicyTypeSessions(Sessions):
    """The sessions of one policy type."""

    policy_type: str = Field(description="The policy type: `sts`, `tlsa` or `no-policy-found`.")
    records_url: str = Field(description="The URL of the records behind the figure.")


class ResultTypeSessions(Schema):
    """Failed sessions of one result type."""

    result_type: str = Field(description="The result type (RFC 8460 §4.3).")
    sessions: int = Field(description="The number of failed sessions.")
    records_url: str = Field(
        description="URL of the records behind the figure; their failedSessions add up to it"
    )


class MxHost(Schema):
    """Failed sessions with one MX host. `host` is null if no MX host was selected."""

    host: str | None = Field(
        description="The name of the MX host; null if no MX host was selected."
    )
    sessions: int = Field(description="The number of failed sessions.")
    result_types: dict[str, int] = Field(
        description="the most frequent result types, if there are many"
    )
    records_url: str = Field(description="The URL of the records behind the figure.")


class TlsReporter(Sessions):
    """The sessions of one reporter."""

    reporter: str = Field(description="The domain of the reporter.")
    records_url: str = Field(description="The URL of the records behind the figure.")


class TlsBucket(Sessions):
    """One interval of a series."""

    start: datetime = Field(
        description="The start of the interval, with the offset of the time zone."
    )


class TlsSessions(AnalyticsHeader):
    """The results of TLS sessions with a domain's MX hosts."""

    partial_reports: int = Field(
        description="reports with policies or failures that could not be read, which are not "
        "included"
    )
    interval: Interval = Field(description="The interval of the series.")
    tz: str = Field(description="The time zone of the series.")
    reports: int = Field(description="The number of reports.")
    totals: AllSessions = Field(description="The figures of the period.")
    previous_period: AllSessions = Field(
        description="The figures of the period of the same length before it."
    )
    policy_types: list[PolicyTypeSessions] = Field(description="The sessions by policy type.")
    result_types: list[ResultTypeSessions] = Field(
        description="The failed sessions by result type."
    )
    mx_hosts: list[MxHost] = Field(description="The failed sessions by MX host.")
    reporters: list[TlsReporter] = Field(description="The sessions by reporter.")
    series: list[TlsBucket] = Field(description="The sessions by interval.")
    records_url: str = Field(description="The URL of the records of the period.")


class RecordLink(Schema):
    """The URL of the records of a figure."""

    records_url: str = Field(description="The URL of the records behind the figure.")
    records_url_exact: bool = Field(
        description="Whether the list has exactly the records of the figure."
    )


class SourceAddress(RecordLink):
    """An address of a source. `reverseName` is only set if it resolves back to the address."""

    address: str = Field(description="The IP address.")
    messages: int = Field(description="The number of messages.")
    reverse_name: str | None = Field(
        description="The reverse DNS name, only if it resolves back to the address."
    )
    asn: int | None = Field(
        description="The number of the autonomous system; null if it is unknown."
    )
    country: str | None = Field(description="The country code; null if it is unknown.")


class Signer(RecordLink):
    """DKIM signatures of one domain and selector, by result."""

    domain: str = Field(description="The domain of the signature.")
    selector: str = Field(description="The selector of the signature.")
    result: str = Field(description="The result of the verification.")
    messages: int = Field(description="The number of messages.")


class EnvelopeFromCount(RecordLink):
    """SPF results of one envelope domain."""

    domain: str = Field(description="The domain of the envelope sender.")
    result: str = Field(description="The SPF result.")
    messages: int = Field(description="The number of messages.")


class HeaderFromCount(RecordLink):
    """Messages with one domain in the From header."""

    name: str = Field(description="The domain in the From header.")
    messages: int = Field(description="The number of messages.")


class SourceDecision(Schema):
    """The manual classification of a source."""

    decision: Literal["approved", "ignored", "blocked"] = Field(
        description="The classification by a person.",
    )
    note: str | None = Field(description="The note of the decision; null if there is none.")
    actor: str = Field(description="Who made the decision.")


class KnownService(Schema):
    """A well-known sending service, with the URL of its setup guide."""

    category: str = Field(description="The kind of service, such as `marketing`.")
    setup: str = Field(description="The URL of the guide for setting up authentication.")


class ClassificationShare(Schema):
    """The messages of a source with one classification."""

    kind: SourceClass = Field(description="The classification.")
    reason: str = Field(description="Why the messages have this classification.")
    messages: int = Field(description="The number of messages.")


class Source(Totals, RecordLink):
    """A source that sends as the domain."""

    key: str = Field(description="The key of the source, which is the same in every period.")
    name: str = Field(description="The name of the source.")
    service: KnownService | None = Field(
        description="The sending service; null if the source is not a known one."
    )
    confidence: Literal["high", "medium", "low", "none"] = Field(
        description="The confidence that the addresses belong to the source.",
    )
    evidence: str = Field(description="Why the addresses belong to the source.")
    kind: SourceClass = Field(
        description="The classification of the source.", alias="classification"
    )
    reason: str = Field(description="Why the source has this classification.")
    reasons: list[ClassificationShare] = Field(
        description="The messages by classification, if there is more than one."
    )
    decision: SourceDecision | None = Field(
        description="The classification by a person; null if there is none."
    )
    first_seen_at: datetime = Field(description="When the source was seen first in the period.")
    last_seen_at: datetime = Field(description="When the source was seen last in the period.")
    address_count: int = Field(description="The number of addresses.")
    addresses_truncated: bool = Field(description="whether addresses with few messages are omitted")
    addresses: list[SourceAddress] = Field(description="The addresses with the most messages.")
    signers: list[Signer] = Field(description="The DKIM signatures of the messages.")
    envelopes: list[EnvelopeFromCount] = Field(description="The SPF results of the messages.")
    header_from: list[HeaderFromCount] = Field(
        description="The messages by domain in the From header."
    )
    countries: dict[str, int] = Field(description="The number of messages by country code.")


class OtherSources(Schema):
    """The sum of the sources beyond the limit."""

    sources: int = Field(description="The number of sources.")
    messages: int = Field(description="Their messages.")
    passed: int = Field(description="Those of their messages that passed DMARC.")


class TermUse(Schema):
    """A term of the SPF record without passing mail."""

    term: str = Field(description="The term of the SPF record, as written.")
    certain: bool = Field(
        description="false if the term is not fully resolved, or few days have reports"
    )


class SelectorUse(RecordLink):
    """A DKIM selector of the domain. `failed` counts messages with an invalid signature.

    Add dkimResult=pass to recordsUrl for `messages`, dkimResult=not_pass for `failed`.
    """

    selector: str = Field(description="The selector.")
    messages: int = Field(description="The number of messages with a valid signature.")
    failed: int = Field(description="The number of messages with an invalid signature.")
    published: bool | None = Field(
        description="Whether the key is published; null if it is unknown."
    )


class Unused(Schema):
    """SPF terms and DKIM selectors without passing mail in the period."""

    spf_terms: list[TermUse] = Field(description="Terms of the SPF record without passing mail.")
    selectors: list[SelectorUse] = Field(description="DKIM selectors without passing mail.")


class Subdomain(RecordLink):
    """A subdomain in the From header."""

    name: str = Field(description="The name of the subdomain.")
    messages: int = Field(description="The number of messages.")
    passed: int = Field(description="Messages that passed DMARC.")
    first_seen_at: datetime = Field(description="When the subdomain was seen first in the period.")


class SourceAnalysis(MailAnalyticsHeader):
    """The sources that send as a domain."""

    messages: int = Field(description="The number of messages.")
    days: int = Field(description="days with reports")
    reporters: int = Field(description="The number of reporters.")
    sources: list[Source] = Field(description="The sources, the largest first.")
    other: OtherSources = Field(description="The sum of the other sources.")
    unused: Unused = Field(description="SPF terms and DKIM selectors without passing mail.")
    selectors: list[SelectorUse] = Field(description="The DKIM selectors of the domain.")
    subdomains: list[Subdomain] = Field(description="The subdomains in the From header.")
    records_url: str = Field(description="The URL of the records of the period.")


class ReporterActivity(Schema):
    """A reporter and the interval of its reports."""

    reporter: str = Field(description="The domain of the reporter.")
    messages: int = Field(description="The number of messages in its reports.")
    days: int = Field(description="The number of days with reports.")
    first_at: datetime = Field(description="The time of its first report in the period.")
    last_at: datetime = Field(description="The time of its last report in the period.")
    typical_interval_hours: int | None = Field(
        description="The usual time between two reports; null if there are too few."
    )
    stopped: bool = Field(
        description="Whether it has been silent for three times its usual interval."
    )
    records_url: str = Field(description="The URL of the records of the reporter.")


class Gap(Schema):
    """Days (UTC) without any report. `to` is exclusive."""

    from_at: datetime = Field(description="The first day without reports.", alias="from")
    to_at: datetime = Field(
        description="The end of the last day without reports, exclusive.", alias="to"
    )


class Coverage(MailAnalyticsHeader):
    """The reporters of a domain, and the days without reports."""

    reporters: list[ReporterActivity] = Field(
        description="The reporters, those with the most messages first."
    )
    gaps: list[Gap] = Field(
        description="The days without any report between the first and the last."
    )
