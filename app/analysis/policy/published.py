"""The published DMARC policy that applies to a domain."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.protocols import dmarc
from app.protocols.dmarc import Policy, Record


class SinceSource(StrEnum):
    """Where the time since which a policy is unchanged comes from."""

    SCANS = "scans"
    REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class Published:
    """The DMARC record that applies to the domain, from the last scan.

    name               the name of the domain's own record, whether or not it exists
    text               None: there is no record
    record             the policy for the domain: ``p`` of an inherited record is its sp or np
    is_inherited       it is published at a parent domain and also applies to other mail
    is_organizational  the domain's own record also applies to names below (RFC 9989 §4.10.1)
    found_at           the domain with the record; None if there is no record
    since              since when its policy is unchanged; None: unknown
    since_source       where ``since`` comes from; None if it is unknown
    """

    name: str
    text: str | None
    record: Record
    is_inherited: bool = False
    is_organizational: bool = True
    found_at: str | None = None
    since: datetime | None = None
    since_source: SinceSource | None = None

    @property
    def own_text(self) -> str | None:
        """The record at ``name``; None if there is none."""
        return None if self.is_inherited else self.text


def from_facts(domain: str, facts: Mapping[str, Any] | None) -> Published | None:
    """Return the record in the facts of the domain's last DMARC check; None without facts."""
    if not facts:
        return None
    own_name, text = f"_dmarc.{domain}", facts.get("record")
    if text is None:
        return Published(own_name, None, dmarc.Record())
    record, found_at = dmarc.parse_record(text), facts["record_at"]
    if found_at == domain:
        is_organizational = facts.get("org_domain") in (None, domain)
        published = Published(own_name, text, record, is_organizational=is_organizational)
    else:
        published = inherited(own_name, text, record, facts.get("policy_tag"))
    since = _timestamp(facts.get("policy_since"))
    source = SinceSource.SCANS if since else None
    return replace(published, found_at=found_at, since=since, since_source=source)


def _timestamp(text: str | None) -> datetime | None:
    """The time in the text; None if there is none, or if the text was truncated."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def inherited(name: str, text: str, record: Record, tag: str | None) -> Published:
    """Return the record of a parent domain that applies to the domain (RFC 9989 §4.10.1).

    tag  the tag that applies to the domain: ``sp``, or ``np`` if the domain does not exist
    """
    below = record.sp or record.p
    p = (record.np or below) if tag == "np" else below
    return Published(
        name=name,
        text=text,
        record=replace(record, p=p, sp=None, np=None),
        is_inherited=True,
        is_organizational=False,
    )


def effective(policy: Policy | None, record: Record) -> Policy | None:
    """Return the effective policy: with ``t=y`` it is one step weaker (RFC 9989 §4.7)."""
    return policy.lowered if policy and record.testing else policy
