"""The schemas that several resources share."""

from typing import Any, Literal

from pydantic import Field

from app.api.http import fields
from app.api.http.endpoint import Schema
from app.checks.engine.types import Severity, Verdict


class Fix(Schema):
    """The DNS change that fixes a finding, with the rollback and the reason."""

    action: Literal["publish", "replace", "remove"] = Field(
        description="What to do with the record.",
    )
    name: str = Field(description="The DNS name of the record.")
    type: str = Field(description="The type of the record.")
    before: str | None = Field(description="The current record; null if there is none.")
    after: str | None = Field(description="The record to publish; null if it is removed.")
    rollback: str = Field(description="How to undo the change.")
    why: str = Field(description="Why the change helps, as a sentence.")


class Finding(Schema):
    """A finding of a check."""

    code: str = Field(description="The code of the finding, which never changes its meaning.")
    severity: Severity = Field(description="The severity.")
    summary: str = Field(description="What was found, in one line.")
    observed: str = Field(description="what was observed, in words; code is in back quotes")
    why: str | None = Field(description="the consequence, in one sentence")
    remediation: str | None = Field(description="what to do; code is in back quotes")
    docs_url: str = Field(description="URL of the documentation of the code")
    reference: str = Field(description="The section of the standard.")
    subject: str = Field(description="What is affected: mostly the name of a record.")
    evidence: dict[str, Any] = Field(description="The observations. The keys depend on the code.")
    fix: Fix | None = Field(
        description="The DNS change that solves the problem; null if there is none."
    )


class DnsAnswer(Schema):
    """A DNS query with its answer."""

    name: str = Field(description="The name of the query.")
    type: str = Field(description="The type of the query.")
    rcode: str = Field(description="The response code, such as `NOERROR`.")
    ttl: int | None = Field(description="The time to live in seconds; null if it is unknown.")
    values: list[str] = Field(description="The values of the records.")


class CheckResult(Schema):
    """The result of a check."""

    check: str = Field(description="The name of the check.")
    verdict: Verdict = Field(description="The verdict.")
    definite: bool = Field(description="Whether every lookup got an answer.")
    reason: str | None = Field(description="Why the verdict is undetermined; null if it is not.")
    logic_version: int = Field(description="The version of the check's logic.")
    elapsed_ms: int = Field(description="How long the check took.")
    records: list[DnsAnswer] = Field(description="The queries with their answers.")
    facts: dict[str, Any] = Field(
        description="What the check learned. The keys depend on the check."
    )
    findings: list[Finding] = Field(description="The findings, the worst first.")


class ScoreMark(Schema):
    """A score without details."""

    value: int | None = Field(description="The score from 0 to 100; null without a score.")
    grade: fields.Grade | None = Field(description="The grade of the score; null without a score.")
    version: int | None = Field(
        description="The version of the scoring rules; null without a score."
    )


class ItemError(Schema):
    """Why one item of a batch was rejected."""

    code: str = Field(description="The code of the error, as in the error envelope.")
    message: str = Field(description="The error, for people.")
    status: int = Field(description="The HTTP status that a request for this item alone gets.")
    details: list[dict[str, str]] | None = Field(
        default=None, description="All errors of an invalid item, as in the error envelope."
    )
    existing_id: str | None = Field(
        default=None, description="The id of the resource that exists already."
    )
    retry_after: int | None = Field(
        default=None, description="The number of seconds after which to try again."
    )
