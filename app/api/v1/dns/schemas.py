"""The schemas of the latest results, DNS changes, and SPF and DANE evaluation."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.api.http.endpoint import Schema
from app.api.v1.schemas import CheckResult, Fix, ScoreMark
from app.checks.spf.evaluate import Result
from app.checks.transport.certificate_match import Match


class LastKnownCheck(CheckResult):
    """The latest conclusive result of a check, and why the last scan was undetermined."""

    scan_id: str = Field(description="The scan of the result.")
    checked_at: datetime = Field(description="When the check ran.")
    undetermined_reason: str | None = Field(
        description="why the last scan was undetermined; null if it was not"
    )


class CheckScore(Schema):
    """The points of a check, and the maximum."""

    check: str = Field(description="The name of the check.")
    points: float = Field(description="The points that the domain has.")
    max_points: int = Field(description="The points that it can have.")


class Recommendation(Schema):
    """A recommended fix, and the points that it gains."""

    check: str = Field(description="The name of the check.")
    code: str = Field(description="The code of the finding.")
    summary: str = Field(description="What was found, in one line.")
    score_gain: int = Field(description="The points that the fix gains.")
    fix: Fix | None = Field(description="The DNS change; null if there is none.")


class Score(ScoreMark):
    """The score with the points of each check, and the recommended fixes."""

    points: list[CheckScore] = Field(description="The points of each check.")
    recommendations: list[Recommendation] = Field(
        description="The recommended fixes, those that gain most first."
    )


class DnsStatus(Schema):
    """The latest results of a domain."""

    domain_id: str = Field(description="The id of the domain.")
    domain_name: str = Field(description="The name of the domain.")
    updated_at: datetime | None = Field(
        description="When the results changed last; null before the first scan."
    )
    score: Score | None = Field(description="The score; null before the first scan.")
    checks: list[LastKnownCheck] = Field(description="The latest conclusive result of each check.")
    undetermined_checks: dict[str, str] = Field(
        description="checks without any result yet, with the reason"
    )


class DnsChange(Schema):
    """A change of a DNS record set."""

    id: str = Field(description="The id of the change.")
    at: datetime = Field(description="When a scan saw the change.")
    check: str = Field(description="The check that saw it.")
    name: str = Field(description="The DNS name of the records.")
    type: str = Field(description="The type of the records.")
    before: list[str] = Field(description="The values before the change.")
    after: list[str] = Field(description="The values after the change.")
    findings_appeared: list[str] | None = Field(
        description="codes of findings; null if not recorded"
    )
    findings_resolved: list[str] | None = Field(
        description="The codes of the findings that were resolved; null if not recorded."
    )
    scan_id: str = Field(description="The scan that saw the change.")


class SpfTraceStep(Schema):
    """An evaluated SPF term."""

    domain: str = Field(description="The domain of the record.")
    term: str = Field(description="The term as written.")
    outcome: Literal["match", "no match", "follow"] = Field(description="The outcome of the term.")


class SpfResult(Schema):
    """The SPF result for mail from an address."""

    result: Result = Field(description="The SPF result (RFC 7208 §2.6).")
    domain: str = Field(description="The domain that was checked.")
    explanation: str | None = Field(
        description="The explanation of the domain (RFC 7208 §6.2); null if there is none."
    )
    term: str | None = Field(description="The term that matched; null if none did.")
    term_domain: str | None = Field(
        description="The domain of the record with that term; null if none matched."
    )
    lookups: int = Field(description="The number of terms that cause DNS lookups.")
    void_lookups: int = Field(description="The number of lookups without an answer.")
    reason: str | None = Field(
        description="Why the result is `permerror` or `temperror`; null for other results."
    )
    trace: list[SpfTraceStep] = Field(description="Every evaluated term.")


class DaneRecord(Schema):
    """A TLSA record, compared with a certificate."""

    record: str = Field(description="The TLSA record.")
    usable: bool = Field(description="whether senders use the record")
    matches: bool | None = Field(
        description="null if the record is not usable, or if its CA was not sent"
    )


class DaneHost(Schema):
    """The TLSA records of an MX host, compared with a certificate."""

    host: str = Field(description="The name of the MX host.")
    owner: str | None = Field(description="the name of the TLSA records")
    secure: bool = Field(description="whether DNSSEC protects the records")
    result: Match | None = Field(
        description="Whether the records match; null if senders use no record of the host.",
    )
    reason: str | None = Field(description="why the result is undetermined")
    breaks_delivery: bool | None = Field(description="null if undetermined")
    records: list[DaneRecord] = Field(description="The TLSA records of the host.")


class DaneResult(Schema):
    """Whether a certificate can be installed on the mail servers of a domain."""

    breaks_delivery: bool | None = Field(
        description="true if senders would stop delivering to one of the hosts; null if that "
        "cannot be determined"
    )
    hosts: list[DaneHost] = Field(description="The MX hosts, up to ten.")
