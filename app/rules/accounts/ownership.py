"""A domain whose owner's record is gone."""

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
    """What is known of who controls a domain.

    lost_at     when the proof was taken back; None: it was not, or there is a new one
    name, text  of the TXT record that proves it
    failures    definite looks in a row that did not find it
    """

    domain: DomainName
    now: datetime
    lost_at: datetime | None
    name: str
    text: str
    failures: int


def _alerts(owned: Ownership) -> Iterator[AlertDraft]:
    if owned.lost_at is None:
        return
    why = f"The record {owned.name} was not there {owned.failures} times in a row."
    fix = Fix("publish", owned.name, "TXT", None, owned.text, "Remove the record again.", why)
    yield AlertDraft(
        LOST, owned.domain, Severity.HIGH, "The domain is not verified any more",
        f"{owned.domain}: {why} Reports about the domain are not shown until it is verified again.",
        {"lostAt": timestamps.text(owned.lost_at), "observed": 0, "looks": owned.failures},
        fix=fix,
    )  # fmt: skip


RULES = (Rule(frozenset((LOST,)), _alerts),)
