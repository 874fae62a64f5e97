"""Reports as the API's documents describe them."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema


class PublishedPolicy(Schema):
    """What the domain had published, as the reporter saw it; null: it does not say."""

    p: str | None
    sp: str | None
    np: str | None
    adkim: str | None
    aspf: str | None
    pct: str | None
    fo: str | None
    testing: str | None
    discovery_method: str | None


class Report(Schema):
    """What reports with a period have in common."""

    id: str
    domain_id: str
    domain_name: str = Field(description="the verified domain that it is filed under")
    policy_domain: str = Field(description="the domain that it is about")
    reporter: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    contact: str | None
    warnings: list[str] = Field(description="what was tolerated in reading it")
    provenance: str = Field(description="authenticated, token or unverified")
    report_file_id: str
    received_at: datetime


class DmarcReport(Report):
    """An aggregate report."""

    org_name: str
    email: str
    generator: str | None
    namespace: str | None
    version: str | None
    days: int = Field(description="1, or over how many its messages are spread")
    policy: PublishedPolicy
    record_count: int
    messages: int
    passed: int = Field(description="messages with DKIM or SPF passed in alignment")
    failed: int


class OverrideReason(Schema):
    """Why a receiver did something else than the policy asks for."""

    type: str
    comment: str | None


class RawDkim(Schema):
    """One signature; it proves nothing about alignment."""

    domain: str
    selector: str | None
    result: str


class RawSpf(Schema):
    """SPF of one domain; it proves nothing about alignment."""

    domain: str
    scope: str | None
    result: str


class DmarcRecord(Schema):
    """So many messages from one address with one result."""

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
    """The report that a record is in."""

    id: str
    reporter: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    days: int = Field(description="1, or over how many its messages are spread")
    provenance: str


class MailRecord(DmarcRecord):
    """A record of a domain, with when its messages count."""

    at: datetime = Field(description="the middle of the report's period")
    count_in_period: int = Field(
        description="of count: those within from and to. It is less for a report over several days"
    )
    report: ReportOfRecord


class TlsReport(Report):
    """A TLS report, without its policies."""

    organization: str


class TlsFailure(Schema):
    """Sessions that failed in one way."""

    result_type: str
    sessions: int
    sending_ip: str | None
    mx: str | None
    mx_helo: str | None
    receiving_ip: str | None
    information: str | None
    reason_code: str | None


class TlsPolicy(Schema):
    """The sessions under one policy; a session may be under several."""

    policy_type: str
    policy_domain: str
    policy_strings: list[str]
    mx_hosts: list[str]
    successful: int
    failed: int
    failures: list[TlsFailure]


class ReportOfTlsRecord(Schema):
    """The TLS report that a policy is in."""

    id: str
    reporter: str
    organization: str
    report_id: str
    begin_at: datetime
    end_at: datetime
    provenance: str


class TlsRecord(Schema):
    """A policy of a TLS report, with when its sessions count; no number is above 10^12."""

    position: int = Field(description="in its report")
    at: datetime = Field(description="the middle of the report's period")
    policy_type: str
    policy_domain: str
    successful: int
    failed: int
    failed_sessions: int = Field(
        description="in failures that fit resultType, mx and hasMx; they need not add up to failed"
    )
    failure_count: int = Field(description="how many failures fit")
    failures: list[TlsFailure] = Field(description="the first 50 of them")
    report: ReportOfTlsRecord


class TlsReportDetail(TlsReport):
    """A TLS report."""

    policies: list[TlsPolicy]


class FailureReport(Schema):
    """A failure report, without what is private: an address is a hash and its domain."""

    id: str
    domain_id: str
    domain_name: str
    reported_domain: str
    reporter: str | None
    auth_failure: list[str]
    identity_alignment: list[str] = Field(description="what did not align: dkim, spf")
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
    """A file that was received, or one more report in it, with its outcome."""

    id: str
    status: str = Field(
        description="received, parsed, duplicate, conflict, unattributed or quarantined"
    )
    reason: str | None
    detail: str | None
    kind: str | None = Field(description="dmarc, tls or failure")
    policy_domain: str | None = Field(description="the domain that the report is about")
    report_id: str | None = Field(description="that it became, repeats or contradicts")
    provenance: str
    reporter: str | None = Field(description="of a report by mail: who it says that it is from")
    author: str | None = Field(description="whose the mail provably is, or is not")
    authenticity: str | None = Field(description="verified, failed, or null: it cannot be told")
    received_via: str = Field(description="http, mail, mailbox, cli or dashboard")
    file_name: str | None
    entry: str = Field(description="which further report of the file; empty for the first")
    size_bytes: int
    received_at: datetime
    finished_at: datetime | None
