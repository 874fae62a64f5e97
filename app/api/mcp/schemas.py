"""The schemas of tools that return only a part of the data of their route."""

from pydantic import Field

from app.api.http.endpoint import Schema
from app.api.v1.dns.schemas import LastKnownCheck, Score
from app.api.v1.schemas import Fix
from app.checks.engine.types import Severity, Verdict


class PostureFinding(Schema):
    """A finding without its evidence."""

    code: str = Field(description="The code of the finding; explain_code explains it.")
    severity: Severity = Field(description="The severity.")
    summary: str = Field(description="What was found, in one line.")
    observed: str = Field(description="What was observed, in words.")
    why: str | None = Field(description="The consequence, in one sentence.")
    remediation: str | None = Field(description="What to do.")
    subject: str = Field(description="What is affected: mostly the name of a record.")
    fix: Fix | None = Field(description="The DNS change that solves the problem; null without one.")


class PostureCheck(Schema):
    """The latest conclusive verdict of a check, with its findings."""

    check: str = Field(description="The name of the check.")
    verdict: Verdict = Field(description="The verdict.")
    checked_at: str = Field(description="When the check ran.")
    undetermined_reason: str | None = Field(
        description="Why the last scan was undetermined; null if it was not."
    )
    findings: list[PostureFinding] = Field(description="The findings, the worst first.")


class Posture(Schema):
    """The latest verdicts of a domain."""

    domain_id: str = Field(description="The id of the domain.")
    domain_name: str = Field(description="The name of the domain.")
    updated_at: str | None = Field(description="When the results changed; null before a scan.")
    score: Score | None = Field(description="The score; null before the first scan.")
    checks: list[PostureCheck] = Field(description="The checks with their findings.")
    undetermined_checks: dict[str, str] = Field(
        description="Checks without any result yet, with the reason."
    )


class CheckEvidence(Schema):
    """The result of one check with its evidence."""

    domain_name: str = Field(description="The name of the domain.")
    undetermined_reason: str | None = Field(
        description="Why the last scan was undetermined; null if it was not."
    )
    result: LastKnownCheck | None = Field(description="The result; null if there is none yet.")


class Explanation(Schema):
    """The meaning of a finding code or an alert type."""

    code: str = Field(description="The finding code or alert type.")
    severity: str = Field(description="The usual severity.")
    summary: str = Field(description="What it means.")
    why: str | None = Field(description="The consequence; null for an alert type.")
    remediation: str = Field(description="What to do.")
    docs_url: str = Field(description="The URL of the documentation.")
    reference: str | None = Field(description="The section of the standard; null without one.")
