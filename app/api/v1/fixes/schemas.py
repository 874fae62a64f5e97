"""Schemas of fixes in the formats of DNS tools."""

from pydantic import Field

from app.api.http.endpoint import Schema
from app.api.v1.schemas import Fix


class FixFormats(Schema):
    """A fix in the formats of DNS tools; null where a format cannot express it safely."""

    zone_file: str | None = Field(description="lines of a zone file; what to remove is in comments")
    octodns: str | None = Field(
        description="the whole record set in the YAML of octoDNS; null if its zone or its other "
        "records are not known"
    )
    terraform_cloudflare: str | None = Field(
        description="Terraform resources of the Cloudflare provider"
    )
    terraform_route53: str | None = Field(
        description="the Terraform resource of the whole record set in Amazon Route 53; null if "
        "its other records are not known"
    )
    nsupdate: str | None = Field(description="commands of nsupdate for one dynamic update")


class FormattedFix(Schema):
    """A fix of a finding in the latest results."""

    check: str = Field(description="the name of the check")
    code: str = Field(description="the code of the finding")
    subject: str = Field(description="the name that the finding is about")
    fix: Fix = Field(description="the change, how to undo it, and the reason for it")
    formats: FixFormats = Field(description="the change as text for DNS tools")
