"""The schemas of the catalog of checks."""

from pydantic import Field

from app.api.http.endpoint import Schema
from app.checks.engine.types import Severity


class FindingType(Schema):
    """A finding code of a check."""

    code: str = Field(description="The code of the finding, which never changes its meaning.")
    severity: Severity = Field(description="The usual severity.")
    summary: str = Field(description="What is found, in one line.")
    why: str = Field(description="the consequence, in one sentence")
    remediation: str = Field(description="what to do; code is in back quotes")
    docs_url: str = Field(description="URL of the documentation of the code")
    reference: str = Field(description="The section of the standard.")


class Check(Schema):
    """A check with its finding codes."""

    name: str = Field(description="The name of the check.")
    logic_version: int = Field(description="The version of the check's logic.")
    question: str = Field(description="What the check answers.")
    findings: list[FindingType] = Field(description="The finding codes.")
