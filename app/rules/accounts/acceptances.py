"""Risks that somebody accepted for a time, which is nearly over."""

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
    """One alert that is dismissed until a time; ``id`` as clients see it."""

    id: str
    type: str
    title: str
    owner: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class AcceptedRisks:
    """Those of a domain, or of an account itself."""

    now: datetime
    accepted: Sequence[AcceptedRisk]


def _alerts(known: AcceptedRisks) -> Iterator[AlertDraft]:
    for risk in known.accepted:
        if risk.until - known.now <= NOTICE:
            yield AlertDraft(
                EXPIRING, risk.id, Severity.LOW, "An accepted risk is up for another decision",
                f"“{risk.title}” was accepted by {risk.owner or 'somebody'} until "
                f"{risk.until:%Y-%m-%d}; then it opens again. Mend it, or accept it anew.",
                {"alertId": risk.id, "alertType": risk.type, "owner": risk.owner,
                 "until": timestamps.text(risk.until), "threshold": NOTICE.days},
            )  # fmt: skip


RULES = (Rule(frozenset((EXPIRING,)), _alerts),)
