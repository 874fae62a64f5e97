"""Alerts on accepted risks that expire soon."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.rules.engine.types import AlertDraft, Rule

EXPIRING = "acceptance.expiring"
NOTICE = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class AcceptedRisk:
    """One alert that is dismissed until a time; ``id`` is its public id."""

    id: str
    type: str
    title: str
    owner: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class AcceptedRisks:
    """The accepted risks of a domain, or of the account itself."""

    now: datetime
    accepted: Sequence[AcceptedRisk]


def _alerts(posture: AcceptedRisks) -> Iterator[AlertDraft]:
    for risk in posture.accepted:
        if risk.until - posture.now <= NOTICE:
            yield AlertDraft(
                type=EXPIRING,
                subject=risk.id,
                severity=Severity.LOW,
                title="Accepted risk expires soon",
                message=f"“{risk.title}”{_by(risk.owner)} is accepted until {risk.until:%Y-%m-%d} "
                "(UTC). Then the alert reopens. Fix the problem, or renew the acceptance with a "
                "reason.",
                evidence={
                    "alertId": risk.id,
                    "alertType": risk.type,
                    "owner": risk.owner,
                    "until": timestamps.text(risk.until),
                    "threshold": NOTICE.days,
                },
            )


def _by(owner: str | None) -> str:
    return f" (risk owner: {owner})" if owner else ""


RULES = (Rule(frozenset((EXPIRING,)), _alerts),)
