"""The schemas of reports, their records and report files."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema


class PublishedPolicy(Schema):
    """The published policy as the reporter saw it. A field is null if not reported."""

    p: str | None
    sp: str | None
    np: str | None
    adkim: str | None
    aspf: str | None
    pct: str | None
    fo: str | None
    testing: str | None
    discovery_method: str | None


class SkippedRecords(Schema):
    """The records of an aggregate report that could not be read and are in no figure."""

    count: int = Field(description="number of these records")
    messages: int = Field(description="sum of their counts, as far as these could be read")
    reasons: dict[str, int] = Field(description="number of these records by reason")


class SkippedPolicies(Schema):
    """The policies and failure details of a TLS report that could not be read."""

    count: int = Field(description="number of these policies and failure details")
    sessions: int = Field(
        description="sessions of these policies, as far as their numbers could be read; they are "
        "in no figure"
    )
    failed_sessions: int = Field(
        description="sessions of these failure details, likewise; they are only missing in the "
        "figures of failures"
    )
    reasons: dict[str, int] = Field(
        description="number of these policies and failure details by reason"
    )


class Report(Schema):
    """The fields of every report with a period."""

    id: str
    domain_id: str
    domain_name: str = Field(description="the verified domain that the report belongs to")
    policy_domain: str = Field(description="the domain of the report")
    reporter: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    contact: str | None
    warnings: list[str] = Field(
        description="codes of the deviations from the standard that the parser accepted, and of"
        " what it skipped; some have the name of a member after a colon. Reports of earlier"
        " releases have sentences"
    )
    partial: bool = Field(description="whether a part of the report could not be read")
    provenance: str = Field(description="authenticated, token, imported or unverified")
    report_file_id: str
    received_at: datetime


class DmarcReport(Report):
    """An aggregate report without its records."""

    org_name: str
    email: str
    generator: str | None
    namespace: str | None
    version: str | None
    days: int = Field(description="number of days over which the messages are distributed")
    policy: PublishedPolicy
    record_count: int
    messages: int
    passed: int = Field(description="messages with an aligned DKIM or SPF pass")
    failed: int
    skipped_records: SkippedRecords


class OverrideReason(Schema):
    """The reason why a receiver overrode the policy."""

    type: str
    comment: str | None


class RawDkim(Schema):
    """The raw result of a DKIM signature, which does not show alignment."""

    domain: str
    selector: str | None
    result: str


class RawSpf(Schema):
    """The raw SPF result of a domain, which does not show alignment."""

    domain: str
    scope: str | None
    result: str


class DmarcRecord(Schema):
    """A record of an aggregate report: messages from one address with the same results."""

    position: int
    source_ip: str
    count: int
    result: str = Field(description="pass or fail")
    disposition: str
    dkim: str = Field(description="aligned: pass or fail")
    spf: str = Field(description="aligned: pass or fail")
    header_from: str
    envelope_from: str | None
    envelope_to: str | None
    reasons: list[OverrideReason]
    dkim_results: list[RawDkim]
    spf_results: list[RawSpf]


class ReportOfRecord(Schema):
    """The report of a record."""

    id: str
    reporter: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    days: int = Field(description="number of days over which the messages are distributed")
    partial: bool = Field(description="whether other records of the report could not be read")
    provenance: str


class MailRecord(DmarcRecord):
    """A DMARC record of a domain, with the time at which its messages are counted."""

    at: datetime = Field(description="the middle of the report's period")
    count_in_period: int = Field(
        description="messages within from and to; less than count for reports over several days"
    )
    report: ReportOfRecord


class TlsReport(Report):
    """A TLS report without its policies."""

    organization: str
    skipped_records: SkippedPolicies


class TlsFailure(Schema):
    """Failed sessions with the same details."""

    result_type: str
    sessions: int
    sending_ip: str | None
    mx: str | None
    mx_helo: str | None
    receiving_ip: str | None
    information: str | None
    reason_code: str | None


class TlsPolicy(Schema):
    """The sessions of one policy. A session may be reported under several policies."""

    policy_type: str
    policy_domain: str
    policy_strings: list[str]
    mx_hosts: list[str]
    successful: int
    failed: int
    failures: list[TlsFailure]


class ReportOfTlsRecord(Schema):
    """The TLS report of a policy."""

    id: str
    reporter: str
    organization: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    partial: bool = Field(description="whether a part of the report could not be read")
    provenance: str


class TlsRecord(Schema):
    """A policy of a TLS report, with the time at which its sessions are counted."""

    position: int = Field(description="position in the report")
    at: datetime = Field(description="the middle of the report's period")
    policy_type: str
    policy_domain: str
    successful: int
    failed: int
    failed_sessions: int = Field(
        description="sessions of the failures that match the filters; may differ from failed"
    )
    failure_count: int = Field(description="number of failures that match the filters")
    failures: list[TlsFailure] = Field(description="the first 50 failures that match the filters")
    report: ReportOfTlsRecord


class TlsReportDetail(TlsReport):
    """A TLS report with its policies."""

    policies: list[TlsPolicy]


class FailureReport(Schema):
    """A failure report without private data. An address is a hash and its domain."""

    id: str
    domain_id: str
    domain_name: str
    reported_domain: str
    reporter: str | None
    auth_failure: list[str]
    identity_alignment: list[str] = Field(description="mechanisms that are not aligned: dkim, spf")
    delivery_result: str | None
    source_ip: str | None
    arrived_at: datetime | None
    incidents: int
    sender: str | None
    recipient: str | None
    dkim_domain: str | None
    dkim_selector: str | None
    details: dict[str, Any]
    provenance: str
    report_file_id: str
    received_at: datetime


class ReportFile(Schema):
    """A received file, or a further report in it, with its status."""

    id: str
    status: str = Field(
        description="received, parsed, duplicate, conflict, unattributed or rejected"
    )
    reason: str | None
    detail: str | None
    kind: str | None = Field(description="dmarc, tls or failure")
    policy_domain: str | None = Field(description="the domain of the report")
    report_id: str | None = Field(
        description="id of the report that was stored from it, or that it repeats or contradicts"
    )
    provenance: str
    reporter: str | None = Field(
        description="the reporter that the report names; for a rejected report, if it can be read"
    )
    envelope_from: str | None = Field(
        description="the envelope sender of the email, or its Return-Path"
    )
    header_from: str | None = Field(description="the From header of the email with the report")
    subject: str | None = Field(description="its subject; null for failure reports")
    attachment_name: str | None = Field(description="the name of the attachment with the report")
    author: str | None = Field(description="the domain in the From header of the email")
    authenticity: str | None = Field(description="verified, failed, or null if unknown")
    received_via: str = Field(description="http, upload, mail, mailbox, cli or dashboard")
    file_name: str | None
    entry: str = Field(description="identifies a further report in the file; empty for the first")
    size_bytes: int
    received_at: datetime
    finished_at: datetime | None
