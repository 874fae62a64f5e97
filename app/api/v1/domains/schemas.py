"""The schemas of domains."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.api.http import fields
from app.api.http.endpoint import Schema
from app.api.v1.schemas import ItemError, ScoreMark
from app.checks.engine.types import Usage


class ChallengeRecord(Schema):
    """The record to publish to verify the domain."""

    name: str = Field(description="The DNS name of the record.")
    type: str = Field(description="The type of the record.")
    value: str = Field(description="The value of the record.")


class Verification(Schema):
    """The state of the ownership verification."""

    status: Literal["verified", "pending"] = Field(
        description="Whether the ownership is verified.",
    )
    method: Literal["dns", "off"] = Field(
        description="How the ownership is verified; `off` if the service does not require it."
    )
    record: ChallengeRecord = Field(description="The record to publish.")
    verified_at: datetime | None = Field(
        description="When the ownership was verified; null until then."
    )


class LastScan(Schema):
    """The last finished scan."""

    id: str = Field(description="The id of the scan.")
    status: fields.ScanStatus = Field(description="The status of the scan.")
    finished_at: datetime | None = Field(description="When the scan finished.")


class SeverityCounts(Schema):
    """The number of alerts by severity."""

    critical: int = Field(description="The number of critical alerts.")
    high: int = Field(description="The number of alerts with severity high.")
    medium: int = Field(description="The number of alerts with severity medium.")
    low: int = Field(description="The number of alerts with severity low.")
    info: int = Field(description="The number of alerts with severity info.")


class Domain(Schema):
    """A monitored domain."""

    id: str = Field(description="The id of the domain.")
    name: str = Field(description="The domain name in ASCII.")
    unicode_name: str = Field(description="The domain name in Unicode.")
    has_mixed_scripts: bool = Field(
        description="Whether a label of the name mixes scripts, as lookalike names do."
    )
    usage: Usage = Field(description="What the domain is used for.")
    tags: list[str] = Field(description="The tags of the domain.")
    dkim_selectors: list[str] = Field(description="The DKIM selectors that are checked.")
    schedule: fields.Schedule = Field(description="How often the domain is scanned.")
    verification: Verification = Field(description="Whether and how the ownership is verified.")
    score: ScoreMark = Field(description="The score of the last scan.")
    last_scan: LastScan | None = Field(description="The last finished scan; null if there is none.")
    open_alerts: SeverityCounts | None = Field(description="null in lists unless included")
    created_at: datetime = Field(description="When the domain was added.")
    updated_at: datetime = Field(description="When the domain changed last.")


class DomainAdded(Schema):
    """The result for one domain of a batch."""

    name: str = Field(description="The name from the request.")
    status: Literal["created", "rejected"] = Field(
        description="Whether the domain was added.",
    )
    id: str | None = Field(description="The id of the domain; null if it was rejected.")
    error: ItemError | None = Field(
        description="Why the domain was rejected; null if it was added."
    )


class DomainsAdded(Schema):
    """The results of a batch of domains."""

    accepted: int = Field(description="The number of domains that were added.")
    rejected: int = Field(description="The number of domains that were rejected.")
    results: list[DomainAdded] = Field(
        description="The result for each domain, in the order of the request."
    )
