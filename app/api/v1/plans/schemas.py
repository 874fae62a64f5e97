"""Schemas of plans: draft records, and what becomes better or worse with them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.analysis.mail.classification import SourceClass
from app.analysis.scan.plan_comparison import Effect
from app.api.http.endpoint import Body, Schema
from app.api.v1.schemas import Finding
from app.checks.engine.types import Severity, Verdict
from app.protocols.dmarc import Policy
from app.protocols.zone_files.record_data import MAX_TTL

MAX_TEXT = 256 * 1024  # characters of a zone
MAX_CHANGES = 100
MAX_VALUES = 100


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL is not allowed")
    return text


Text = Annotated[str, AfterValidator(_no_nul)]
Value = Annotated[Text, Field(max_length=8000)]


class RecordChange(Body):
    """A change of one record set."""

    action: Literal["add", "replace", "remove"] = Field(
        description="add the values to the record set, replace all of its values, or remove them"
    )
    name: str = Field(max_length=260, description="the full name of the records")
    type: str = Field(max_length=20, description="the type of the records, such as TXT or MX")
    values: list[Value] = Field(
        default_factory=list,
        max_length=MAX_VALUES,
        description="the text of each TXT record without quotes, or the value of each other record "
        "as in a zone file with full names; without values, remove removes the whole set",
    )
    ttl: Annotated[int, Field(ge=0, le=MAX_TTL)] | None = Field(
        default=None, description="the time to live in seconds; 3600 by default"
    )


class PlanBody(Body):
    """Draft records: exactly one of zoneFile, octodns and records."""

    zone_file: Text | None = Field(
        default=None,
        max_length=MAX_TEXT,
        description="a zone file that replaces all records at and below the domain",
    )
    octodns: Text | None = Field(
        default=None,
        max_length=MAX_TEXT,
        description="a zone in the YAML of octoDNS that replaces all records at and below the "
        "domain",
    )
    records: list[RecordChange] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CHANGES,
        description="changes of record sets; all others stay as they are published",
    )


class PlanRecordSet(Schema):
    """A record set that the draft changes."""

    name: str = Field(description="the name that a check looked up")
    type: str = Field(description="the type of the records")
    before: list[str] = Field(description="the published values")
    after: list[str] = Field(description="the values with the draft")


class PlannedFinding(Finding):
    """A finding of the draft, of the published records, or of both."""

    effect: Effect = Field(
        description="worse if it is new or more severe, better if it is gone or less severe"
    )
    severity_before: Severity | None = Field(description="null if it is new")
    severity_after: Severity | None = Field(description="null if it is gone")


class PlannedCheck(Schema):
    """The effect of the draft on a check."""

    check: str = Field(description="the name of the check")
    effect: Effect = Field(
        description="worse if anything is worse; undetermined if a result is not known"
    )
    before: Verdict = Field(description="the verdict for the published records")
    after: Verdict = Field(description="the verdict for the draft")
    reason: str | None = Field(description="why a result is undetermined; null if none is")
    findings: list[PlannedFinding] = Field(description="the findings, the worst effect first")


class LosingAddress(Schema):
    """An address for which SPF would no longer pass."""

    address: str = Field(description="the IP address of the sender")
    messages: int = Field(description="messages in the stored reports")


class LosingSender(Schema):
    """A source for which SPF would no longer pass."""

    source: str = Field(description="the key of the source")
    name: str = Field(description="the name of the source")
    kind: SourceClass = Field(
        alias="classification", description="the classification of the source"
    )
    messages: int = Field(description="messages that would lose SPF")
    uncertain: int = Field(description="messages that may lose SPF")
    addresses: list[LosingAddress] = Field(description="up to 10, the most messages first")


class PolicyInForce(Schema):
    """The DMARC policy that receivers apply."""

    p: Policy = Field(description="the policy of the domain")
    sp: Policy = Field(description="the policy of existing subdomains")
    np: Policy = Field(description="the policy of subdomains that do not exist")
    adkim: str = Field(description="the alignment mode of DKIM: r or s")
    aspf: str = Field(description="the alignment mode of SPF: r or s")


class AffectedSender(Schema):
    """A source with more affected messages than under the published records."""

    source: str = Field(description="the key of the source")
    name: str = Field(description="the name of the source")
    kind: SourceClass = Field(
        alias="classification", description="the classification of the source"
    )
    affected_before: int = Field(description="messages that the published records affect")
    affected_after: int = Field(description="messages that the draft affects")


class PlannedPolicy(Schema):
    """What the DMARC and SPF records do to the reported messages."""

    before: PolicyInForce = Field(description="the policy in the published records")
    after: PolicyInForce = Field(description="the policy in the draft")
    affected_before: int = Field(
        description="messages that are quarantined or rejected under the published records"
    )
    affected_after: int = Field(
        description="messages that are quarantined or rejected under the draft"
    )
    uncertain: int = Field(description="messages whose result with the draft is not certain")
    confidence: str = Field(description="high, medium or low")
    sources: list[AffectedSender] = Field(
        description="sources with more affected messages than before, the largest increase first"
    )


class PlannedEmail(Schema):
    """The effect of the draft on the email in the stored reports."""

    from_at: datetime = Field(alias="from", description="the begin of the period")
    to_at: datetime = Field(alias="to", description="the end of the period")
    messages: int = Field(description="messages in the reports of the period")
    days: int = Field(description="days with reports")
    reporters: int = Field(description="receivers that sent reports")
    pending_reports: int = Field(description="stored reports that are not in these figures yet")
    spf_losses: list[LosingSender] | None = Field(
        description="sources that would lose SPF; null if SPF is undetermined"
    )
    policy: PlannedPolicy | None = Field(description="null if DMARC is undetermined")


class Plan(Schema):
    """What becomes better or worse once draft records are published."""

    domain_id: str = Field(description="the id of the domain")
    domain_name: str = Field(description="the name of the domain")
    effect: Effect = Field(description="the worst effect on any check")
    worst_severity: Severity | None = Field(
        description="the highest severity of the findings that become worse; null without any"
    )
    dns_changes: list[PlanRecordSet] = Field(
        description="the record sets that the checks read, and that the draft changes"
    )
    checks: list[PlannedCheck] = Field(description="the effect on each check")
    email: PlannedEmail | None = Field(
        description="null unless the key also has the scope reports:read"
    )
