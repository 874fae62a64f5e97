"""Alerts on domains that are no longer verified."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.checks.engine.types import Fix, Severity
from app.protocols import timestamps
from app.protocols.names import DomainName
from app.rules.engine.types import AlertDraft, Rule

LOST = "domain.verification_lost"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The state of a domain's ownership verification.

    lost_at     when the domain lost its verification; None if it did not, or was verified since
    name, text  of the TXT record that verifies ownership
    failures    consecutive definite lookups that did not find the record
    """

    domain: DomainName
    now: datetime
    lost_at: datetime | None
    name: str
    text: str
    failures: int


def _alerts(ownership: Ownership) -> Iterator[AlertDraft]:
    if ownership.lost_at is None:
        return
    why = f"The TXT record {ownership.name} was missing in {ownership.failures} consecutive checks."
    fix = Fix(
        action="publish",
        name=ownership.name,
        type="TXT",
        before=None,
        after=ownership.text,
        rollback="Remove the record again.",
        why=why,
    )
    yield AlertDraft(
        type=LOST,
        subject=ownership.domain,
        severity=Severity.HIGH,
        title="Domain is no longer verified",
        message=f"{ownership.domain}: {why} Its reports are held and not shown until you publish "
        "the record and verify the domain again.",
        evidence={
            "lostAt": timestamps.text(ownership.lost_at),
            "observed": 0,
            "looks": ownership.failures,
        },
        fix=fix,
    )


RULES = (Rule(frozenset((LOST,)), _alerts),)
