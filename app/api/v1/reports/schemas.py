"""The schemas of reports, their records and report files."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.http.endpoint import Schema

Provenance = Literal["authenticated", "token", "imported", "unverified"]


class PublishedPolicy(Schema):
    """The published policy as the reporter saw it. A field is null if not reported."""

    p: str | None = Field(description="The policy of the domain.")
    sp: str | None = Field(description="The policy of subdomains.")
    np: str | None = Field(description="The policy of subdomains that do not exist.")
    adkim: str | None = Field(description="The alignment mode of DKIM.")
    aspf: str | None = Field(description="The alignment mode of SPF.")
    pct: str | None = Field(
        description="The percentage of mail that the policy applies to (RFC 7489)."
    )
    fo: str | None = Field(description="The options for failure reports.")
    testing: str | None = Field(description="The test mode (tag `t`).")
    discovery_method: str | None = Field(
        description="How the reporter found the record: `psl` or `treewalk`."
    )


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

    id: str = Field(description="The id of the report in this service.")
    domain_id: str = Field(description="The id of the domain that the report belongs to.")
    domain_name: str = Field(description="the verified domain that the report belongs to")
    policy_domain: str = Field(description="the domain of the report")
    reporter: str = Field(description="The domain of the reporter.")
    report_id: str = Field(description="The id that the reporter gave the report.")
    begin_at: datetime = Field(description="The start of the report's period.")
    end_at: datetime = Field(description="The end of the report's period.")
    contact: str | None = Field(
        description="How to contact the reporter; null if the report does not say it."
    )
    warnings: list[str] = Field(
        description="codes of the deviations from the standard that the parser accepted, and of"
        " what it skipped; some have the name of a member after a colon. Reports of earlier"
        " releases have sentences"
    )
    partial: bool = Field(description="whether a part of the report could not be read")
    provenance: Provenance = Field(
        description="How far the sender of the report is proven.",
    )
    report_file_id: str = Field(description="The id of the file that contained the report.")
    received_at: datetime = Field(description="When the report was received.")


class DmarcReport(Report):
    """An aggregate report without its records."""

    org_name: str = Field(description="The name of the reporter's organization.")
    email: str = Field(description="The email address of the reporter.")
    generator: str | None = Field(
        description="The software that made the report; null if it is unknown."
    )
    namespace: str | None = Field(
        description="The XML namespace of the report; null if it has none."
    )
    version: str | None = Field(
        description="The version of the report format; null if it is not reported."
    )
    days: int = Field(description="number of days over which the messages are distributed")
    policy: PublishedPolicy = Field(description="The published policy as the reporter saw it.")
    record_count: int = Field(description="The number of records.")
    messages: int = Field(description="The number of messages.")
    passed: int = Field(description="messages with an aligned DKIM or SPF pass")
    failed: int = Field(description="Messages that failed DMARC.")
    skipped_records: SkippedRecords = Field(description="The records that could not be read.")


class OverrideReason(Schema):
    """The reason why a receiver overrode the policy."""

    type: str = Field(description="The type of the reason, such as `forwarded` or `mailing_list`.")
    comment: str | None = Field(description="The comment of the receiver; null if there is none.")


class RawDkim(Schema):
    """The raw result of a DKIM signature, which does not show alignment."""

    domain: str = Field(description="The domain of the signature.")
    selector: str | None = Field(
        description="The selector of the signature; null if it is not reported."
    )
    result: str = Field(description="The result of the verification.")


class RawSpf(Schema):
    """The raw SPF result of a domain, which does not show alignment."""

    domain: str = Field(description="The domain that was checked.")
    scope: str | None = Field(
        description="What was checked: `mfrom` or `helo`; null if it is not reported."
    )
    result: str = Field(description="The SPF result.")


class DmarcRecord(Schema):
    """A record of an aggregate report: messages from one address with the same results."""

    position: int = Field(description="The position of the record in the report.")
    source_ip: str = Field(description="The IP address that sent the messages.")
    count: int = Field(description="The number of messages.")
    result: Literal["pass", "fail"] = Field(
        description="The DMARC result.",
    )
    disposition: str = Field(
        description="What the receiver did: `none`, `pass`, `quarantine` or `reject`; other values "
        "are as reported."
    )
    dkim: str = Field(description="aligned: pass or fail")
    spf: str = Field(description="aligned: pass or fail")
    header_from: str = Field(description="The domain in the From header.")
    envelope_from: str | None = Field(
        description="The domain of the envelope sender; null if it is not reported."
    )
    envelope_to: str | None = Field(
        description="The domain of the recipient; null if it is not reported."
    )
    reasons: list[OverrideReason] = Field(description="Why the receiver did not apply the policy.")
    dkim_results: list[RawDkim] = Field(description="The raw results of the DKIM signatures.")
    spf_results: list[RawSpf] = Field(description="The raw SPF results.")


class ReportOfRecord(Schema):
    """The report of a record."""

    id: str = Field(description="The id of the report in this service.")
    reporter: str = Field(description="The domain of the reporter.")
    report_id: str = Field(description="The id that the reporter gave the report.")
    begin_at: datetime = Field(description="The start of the report's period.")
    end_at: datetime = Field(description="The end of the report's period.")
    days: int = Field(description="number of days over which the messages are distributed")
    partial: bool = Field(description="whether other records of the report could not be read")
    provenance: Provenance = Field(description="How far the sender of the report is proven.")


class MailRecord(DmarcRecord):
    """A DMARC record of a domain, with the time at which its messages are counted."""

    at: datetime = Field(description="the middle of the report's period")
    count_in_period: int = Field(
        description="messages within from and to; less than count for reports over several days"
    )
    report: ReportOfRecord = Field(description="The report of the record.")


class TlsReport(Report):
    """A TLS report without its policies."""

    organization: str = Field(description="The name of the reporter's organization.")
    skipped_records: SkippedPolicies = Field(
        description="The policies and failure details that could not be read."
    )


class TlsFailure(Schema):
    """Failed sessions with the same details."""

    result_type: str = Field(description="The result type (RFC 8460 §4.3).")
    sessions: int = Field(description="The number of sessions.")
    sending_ip: str | None = Field(
        description="The IP address of the sender; null if it is not reported."
    )
    mx: str | None = Field(description="The name of the MX host; null if it is not reported.")
    mx_helo: str | None = Field(
        description="The name that the MX host announced; null if it is not reported."
    )
    receiving_ip: str | None = Field(
        description="The IP address of the MX host; null if it is not reported."
    )
    information: str | None = Field(
        description="The URL of further information; null if it is not reported."
    )
    reason_code: str | None = Field(
        description="The error code of the reporter; null if it is not reported."
    )


class TlsPolicy(Schema):
    """The sessions of one policy. A session may be reported under several policies."""

    policy_type: str = Field(description="The policy type: `sts`, `tlsa` or `no-policy-found`.")
    policy_domain: str = Field(description="The domain of the policy.")
    policy_strings: list[str] = Field(description="The lines of the policy, as reported.")
    mx_hosts: list[str] = Field(description="The MX patterns of the policy.")
    successful: int = Field(description="The number of successful sessions.")
    failed: int = Field(description="The number of failed sessions.")
    failures: list[TlsFailure] = Field(description="The failed sessions by their details.")


class ReportOfTlsRecord(Schema):
    """The TLS report of a policy."""

    id: str = Field(description="The id of the report in this service.")
    reporter: str = Field(description="The domain of the reporter.")
    organization: str = Field(description="The name of the reporter's organization.")
    report_id: str = Field(description="The id that the reporter gave the report.")
    begin_at: datetime = Field(description="The start of the report's period.")
    end_at: datetime = Field(description="The end of the report's period.")
    partial: bool = Field(description="whether a part of the report could not be read")
    provenance: Provenance = Field(description="How far the sender of the report is proven.")


class TlsRecord(Schema):
    """A policy of a TLS report, with the time at which its sessions are counted."""

    position: int = Field(description="position in the report")
    at: datetime = Field(description="the middle of the report's period")
    policy_type: str = Field(description="The policy type: `sts`, `tlsa` or `no-policy-found`.")
    policy_domain: str = Field(description="The domain of the policy.")
    successful: int = Field(description="The number of successful sessions.")
    failed: int = Field(description="The number of failed sessions.")
    failed_sessions: int = Field(
        description="sessions of the failures that match the filters; may differ from failed"
    )
    failure_count: int = Field(description="number of failures that match the filters")
    failures: list[TlsFailure] = Field(description="the first 50 failures that match the filters")
    report: ReportOfTlsRecord = Field(description="The report of the record.")


class TlsReportDetail(TlsReport):
    """A TLS report with its policies."""

    policies: list[TlsPolicy] = Field(description="The policies, with their sessions and failures.")


class FailureReport(Schema):
    """A failure report without private data. An address is a hash and its domain."""

    id: str = Field(description="The id of the report.")
    domain_id: str = Field(description="The id of the domain that the report belongs to.")
    domain_name: str = Field(description="The name of the domain that the report belongs to.")
    reported_domain: str = Field(description="The domain of the message, as reported.")
    reporter: str | None = Field(description="The domain of the reporter; null if it is unknown.")
    auth_failure: list[str] = Field(description="The kinds of failure, such as `dmarc`.")
    identity_alignment: list[str] = Field(description="mechanisms that are not aligned: dkim, spf")
    delivery_result: str | None = Field(
        description="What happened to the message; null if it is not reported."
    )
    source_ip: str | None = Field(
        description="The IP address that sent the message; null if it is not reported."
    )
    arrived_at: datetime | None = Field(
        description="When the message arrived; null if it is not reported."
    )
    incidents: int = Field(description="The number of messages that the report stands for.")
    sender: str | None = Field(
        description="The envelope sender, redacted; null if it is not reported."
    )
    recipient: str | None = Field(
        description="The recipient, redacted; null if it is not reported."
    )
    dkim_domain: str | None = Field(
        description="The domain of the DKIM signature; null if it is not reported."
    )
    dkim_selector: str | None = Field(
        description="The selector of the DKIM signature; null if it is not reported."
    )
    details: dict[str, Any] = Field(description="Further fields of the report, redacted.")
    provenance: Provenance = Field(description="How far the sender of the report is proven.")
    report_file_id: str = Field(description="The id of the file that contained the report.")
    received_at: datetime = Field(description="When the report was received.")


class ReportFile(Schema):
    """A received file, or a further report in it, with its status."""

    id: str = Field(description="The id of the report file.")
    status: Literal["received", "parsed", "duplicate", "conflict", "unattributed", "rejected"] = (
        Field(
            description="The status of the file.",
        )
    )
    reason: str | None = Field(description="The code of the reason; null if there is none.")
    detail: str | None = Field(
        description="Why the file was rejected, and what to do; null if there is nothing to say."
    )
    kind: Literal["dmarc", "tls", "failure"] | None = Field(
        description="The type of the report; null if it is unknown.",
    )
    policy_domain: str | None = Field(description="the domain of the report")
    report_id: str | None = Field(
        description="id of the report that was stored from it, or that it repeats or contradicts"
    )
    provenance: Provenance = Field(description="How far the sender of the report is proven.")
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
    authenticity: Literal["verified", "failed"] | None = Field(
        description="Whether the email is from the reporter; null if it is unknown.",
    )
    received_via: str = Field(description="http, upload, mail, mailbox, cli or dashboard")
    file_name: str | None = Field(description="The name of the file; null if it is unknown.")
    entry: str = Field(description="identifies a further report in the file; empty for the first")
    size_bytes: int = Field(description="The size of the file.")
    received_at: datetime = Field(description="When the file was received.")
    finished_at: datetime | None = Field(
        description="When the file was processed; null until then."
    )
