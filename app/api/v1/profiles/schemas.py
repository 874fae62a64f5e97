"""Schemas of compliance profiles."""

from typing import Any

from pydantic import Field

from app.analysis.scan.profiles import Status
from app.api.http.endpoint import Schema
from app.api.v1.schemas import Finding
from app.checks.engine.types import Usage


class FactCondition(Schema):
    """A fact of a check, and what it must be."""

    fact: str = Field(description="the check and the fact, like dmarc.effective_policy")
    expected: str = Field(description="What the fact must be.")


class ProfileClause(Schema):
    """One requirement of a profile."""

    id: str = Field(description="The id of the clause within the profile.")
    text: str = Field(description="The requirement, as a sentence.")
    source: str = Field(description="URL of the text that requires it")
    source_date: str | None = Field(
        description="date of the version of the source: a year, a month or a day"
    )
    usages: list[Usage] = Field(
        description="the uses of domains that it applies to; empty if it applies to all"
    )
    checks: list[str] = Field(description="the checks that it uses")
    findings: list[str] = Field(description="finding codes that make it fail")
    facts: list[FactCondition] = Field(description="it fails unless all of these hold")
    remediation: str | None = Field(description="what to do if it fails")
    not_observable_reason: str | None = Field(
        description="why the checks cannot see it; null if they can"
    )


class Profile(Schema):
    """A guideline or standard, as a list of clauses."""

    id: str = Field(description="The id of the profile.")
    name: str = Field(description="The name of the profile.")
    description: str = Field(description="What the profile is, as a sentence.")
    source: str = Field(description="The URL of the guideline or standard.")
    source_date: str | None = Field(
        description="The date of its version: a year, a month or a day; null if it is unknown."
    )
    source_read: str | None = Field(
        description="the day on which the clauses were compared with the source"
    )
    note: str | None = Field(description="what could not be confirmed in the source")
    followed: bool = Field(description="whether an alert opens when a domain loses it")
    clauses: list[ProfileClause] = Field(description="The requirements.")


class UnmetFact(FactCondition):
    """A fact that is not as a clause requires it."""

    observed: Any = Field(description="the value; null if the check has no such fact")


class ClauseResult(Schema):
    """Whether a domain meets a clause."""

    id: str = Field(description="The id of the clause within the profile.")
    text: str = Field(description="The requirement, as a sentence.")
    source: str = Field(description="The URL of the text that requires it.")
    source_date: str | None = Field(
        description="The date of the version of the source; null if it is unknown."
    )
    status: Status = Field(description="The result of the clause.")
    reason: str | None = Field(
        description="why it is undetermined or not observable; null for other results"
    )
    findings: list[Finding] = Field(description="the findings that make it fail")
    facts: list[UnmetFact] = Field(description="the facts that make it fail")
    remediation: str | None = Field(description="what to do; null unless it fails")


class ProfileResult(Schema):
    """Whether a domain meets a profile, with the clauses that apply to its use."""

    id: str = Field(description="The id of the profile.")
    name: str = Field(description="The name of the profile.")
    status: Status = Field(description="pass, fail or undetermined")
    summary: str = Field(description="The result, as a sentence.")
    clauses: list[ClauseResult] = Field(
        description="The results of the clauses that apply to the use of the domain."
    )
