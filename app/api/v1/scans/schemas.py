"""The schemas of scans."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.api.http import fields
from app.api.http.endpoint import Schema
from app.api.v1.schemas import CheckResult, ScoreMark
from app.checks.engine.types import Severity, Verdict


class Summary(Schema):
    """The number of checks by verdict."""

    ok: int = Field(description="The number of checks with the verdict ok.")
    info: int = Field(description="The number of checks with the verdict info.")
    warn: int = Field(description="The number of checks with the verdict warn.")
    fail: int = Field(description="The number of checks with the verdict fail.")
    undetermined: int = Field(description="The number of checks without a verdict.")


class ScanHead(Schema):
    """A scan without its results."""

    id: str = Field(description="The id of the scan.")
    domain_id: str = Field(description="The id of the domain.")
    domain_name: str = Field(description="The name of the domain.")
    status: fields.ScanStatus = Field(
        description="The status of the scan.",
    )
    trigger: fields.ScanTrigger = Field(description="What started the scan.")
    requested_at: datetime = Field(description="When the scan was requested.")
    started_at: datetime | None = Field(description="When the scan started; null until then.")
    finished_at: datetime | None = Field(description="When the scan finished; null until then.")
    duration_ms: int | None = Field(
        description="How long the scan took; null until it is finished."
    )
    query_count: int | None = Field(
        description="The number of DNS queries; null until the scan is finished."
    )
    score: ScoreMark | None = Field(
        description="The score of the scan; null until it is completed."
    )
    summary: Summary | None = Field(
        description="The number of checks by verdict; null until the scan is completed."
    )
    error: str | None = Field(description="Why the scan failed; null if it did not.")


class NotEvaluated(Schema):
    """The alerts that were not evaluated, because a root cause explains them."""

    types: list[str] = Field(description="The alert types.")
    reason: str = Field(description='end of the sentence "Not evaluated because …"')


class ScanAlerts(Schema):
    """The ids of the alerts that the scan opened, confirmed and resolved."""

    opened: list[str] = Field(description="The alerts that the scan opened.")
    sustained: list[str] = Field(description="The alerts whose problem the scan saw again.")
    resolved: list[str] = Field(description="The alerts that the scan resolved.")
    not_evaluated: NotEvaluated | None = Field(
        description="The alert types that were not evaluated; null if all were."
    )


class Scan(ScanHead):
    """A scan with its results."""

    coalesced: bool = Field(description="true if it was already running when it was requested")
    checks: list[CheckResult] | None = Field(
        description="The results of the checks; null until the scan is completed."
    )
    alerts: ScanAlerts | None = Field(
        description="The alerts that the scan changed; null until it is completed."
    )


class BatchMember(Schema):
    """One scan of a batch."""

    id: str = Field(description="The id of the scan.")
    domain_name: str = Field(description="The name of the domain.")
    status: fields.ScanStatus = Field(description="The status of the scan.")


class ScanBatch(Schema):
    """A batch of scans."""

    id: str = Field(description="The id of the batch.")
    status: Literal["running", "completed"] = Field(
        description="Whether all scans of the batch are finished.",
    )
    counts: dict[str, int] = Field(description="The number of scans by status.")
    requested_at: datetime = Field(description="When the batch was requested.")
    finished_at: datetime | None = Field(
        description="When the last scan finished; null until then."
    )
    scans: list[BatchMember] = Field(description="The scans of the batch.")


class ChangedRecords(Schema):
    """A record set that differs between two scans."""

    check: str = Field(description="The check that reads the records.")
    name: str = Field(description="The DNS name of the records.")
    type: str = Field(description="The type of the records.")
    before: list[str] = Field(description="The values in the earlier scan.")
    after: list[str] = Field(description="The values in the later scan.")


class ChangedFinding(Schema):
    """A finding that only one of two scans has."""

    code: str = Field(description="The code of the finding.")
    subject: str = Field(description="What is affected: mostly the name of a record.")
    severity: Severity = Field(description="The severity.")
    summary: str = Field(description="What was found, in one line.")


class ChangedCheck(Schema):
    """A check with another verdict or other findings."""

    check: str = Field(description="The name of the check.")
    before: Verdict = Field(description="The verdict of the earlier scan.")
    after: Verdict = Field(description="The verdict of the later scan.")
    added: list[ChangedFinding] = Field(description="The findings that only the later scan has.")
    removed: list[ChangedFinding] = Field(
        description="The findings that only the earlier scan has."
    )
    cause: Literal["dns", "rules", "undetermined", "facts"] = Field(
        description="Why the check changed."
    )


class ScanDiff(Schema):
    """The differences between two scans, with their cause."""

    scan_id: str = Field(description="The id of the scan.")
    base_id: str | None = Field(
        description="The id of the scan that it is compared with; null if there is none."
    )
    dns_changes: list[ChangedRecords] = Field(description="The records that differ.")
    checks: list[ChangedCheck] = Field(
        description="The checks with another verdict or other findings."
    )
