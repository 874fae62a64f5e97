"""Postures of steady mail for tests of the rules on reports."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import hour_of
from app.analysis.mail.sources import Service, Source
from app.protocols.names import DomainName
from app.rules import reports
from app.rules.engine.types import AlertDraft, Unknown
from app.rules.reports.posture import Mail, ReportPosture, Volume

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
HOUR = hour_of(NOW)
TODAY = HOUR // 24
WEEK, TWO_WEEKS = 7 * 24, 14 * 24
DOMAIN = DomainName("acme.test")
RULES = reports.RULES
IDENTITIES = {
    0: Identity(header_from="acme.test", disposition="none", dkim=True, spf=True),
    1: Identity(header_from="acme.test", disposition="none", dkim=False, spf=False),
}
Days = dict[int, tuple[int, int]]


def volume(days: Days, name: str = "google.com") -> Volume:
    return Volume({name: days} if days else {})


def recent(*days: tuple[int, int]) -> Days:
    """(messages, failed) of yesterday, of the day before."""
    return {TODAY - 1 - ago: day for ago, day in enumerate(days)}


def before(day: tuple[int, int], days: int = 20) -> Days:
    return {TODAY - 4 - ago: day for ago in range(days)}


def mail(days: Days, **fields: Any) -> Mail:
    return Mail(volume(days), volume(days), identities=IDENTITIES, **fields)


STEADY = mail(before((100, 0)))
SOME = recent((100, 0))


def posture(**fields: Any) -> ReportPosture:
    values: dict[str, Any] = {
        "domain": DOMAIN,
        "now": NOW,
        "now_hour": HOUR,
        "monitored_since": NOW - timedelta(days=60),
        "first_hour": HOUR - 60 * 24,
        "recent": mail(SOME),
        "previous": STEADY,
    }
    return ReportPosture(**(values | fields))


def drafts(current: ReportPosture) -> dict[str, AlertDraft]:
    made = {}
    for rule in RULES:
        for draft in rule.evaluate(current) or ():
            assert not isinstance(draft, Unknown)
            assert draft.type in rule.types
            made[draft.type] = draft
    return made


def undecided(current: ReportPosture) -> set[str]:
    """Return the alert types that no rule can decide."""
    return {type for rule in RULES if rule.evaluate(current) is None for type in rule.types}


def source(messages: int = 100, failed: int = 0, **fields: Any) -> Source:
    values: dict[str, Any] = {
        "key": "domain:mail.test",
        "service": Service(
            key="domain:mail.test", name="mail.test", confidence="medium", evidence="…"
        ),
        "kind": SourceClass.OWN,
        "messages": messages,
        "passed": messages - failed,
        "first_hour": HOUR - 30 * 24,
        "identities": Counter({0: messages - failed, 1: failed}),
    }
    return Source(**(values | fields))


COMPARED = {"dmarc.compliance_dropped", "dmarc.failure_spike", "dmarc.volume_anomaly"}
