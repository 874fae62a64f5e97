"""Alerts on spoofed email, and on email from parked domains.

What only unverified reports show is of severity info, as anyone can send such reports.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Flow
from app.checks.engine.types import Severity
from app.protocols.json_values import JsonObject
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.drafts import first_draft
from app.rules.reports.posture import BASELINE_DAYS, RECENT_DAYS, Mail, ReportPosture

MIN_MESSAGES, MIN_ADDRESSES = 100, 10
BASELINE_FACTOR = 3
MIN_PARKED = 10
MAX_COUNTRIES = 10
_REFUSED = ("quarantine", "reject")


@dataclass(frozen=True, slots=True)
class _Spoofing:
    """Unauthenticated messages from suspicious sources."""

    messages: int
    refused: int
    addresses: Counter[str]


def _spoofing_candidates(mail: Mail, *, trusted_only: bool) -> _Spoofing:
    messages = refused = 0
    addresses: Counter[str] = Counter()
    for flow, identity in _flows(mail):
        if identity.passed or (trusted_only and not identity.trusted):
            continue
        messages += flow.messages
        refused += flow.messages * (identity.disposition in _REFUSED)
        if flow.source_ip:
            addresses[flow.source_ip] += flow.messages
    return _Spoofing(messages, refused, addresses)


def _flows(mail: Mail) -> Iterator[tuple[Flow, Identity]]:
    for source in mail.sources:
        if source.kind is SourceClass.SUSPICIOUS:
            for number, flows in source.flows.items():
                for flow in flows:
                    yield flow, mail.identities[number]


def _spoofed(posture: ReportPosture) -> list[AlertDraft] | None:
    if not posture.recent.everything.messages:
        return None

    def draft_for(trusted_only: bool, severity: Severity) -> AlertDraft | None:
        now = _spoofing_candidates(posture.recent, trusted_only=trusted_only)
        before = _spoofing_candidates(posture.previous, trusted_only=trusted_only)
        usual = before.messages * RECENT_DAYS / BASELINE_DAYS
        is_large = now.messages >= MIN_MESSAGES and len(now.addresses) >= MIN_ADDRESSES
        if not is_large or now.messages <= BASELINE_FACTOR * usual:
            return None
        return _of_spoofing(posture, now, usual, severity)

    return first_draft(((True, Severity.HIGH), (False, Severity.INFO)), draft_for)


def _of_spoofing(
    posture: ReportPosture, now: _Spoofing, usual: float, severity: Severity
) -> AlertDraft:
    observed: JsonObject = {
        "messages": now.messages,
        "refused": now.refused,
        "addresses": len(now.addresses),
        "countries": _countries(posture.recent),
        "policy": posture.policy,
    }
    samples: list[JsonObject] = [
        {"address": ip, "messages": count} for ip, count in now.addresses.most_common(5)
    ]
    return AlertDraft(
        type="source.spoofing_suspected",
        subject=posture.domain,
        severity=severity,
        title="Suspected spoofing from many addresses",
        message=f"{posture.domain}: {quantity(now.messages, 'message')} from "
        f"{quantity(len(now.addresses), 'address', 'addresses')} "
        f"passed neither SPF nor DKIM (usual: {usual:.0f}). Receivers rejected or quarantined "
        f"{now.refused} of them. With the DMARC policy p=reject receivers reject such email.",
        evidence={
            "observed": observed,
            "baseline": {"messages": round(usual, 1)},
            "samples": samples,
            "threshold": {
                "messages": MIN_MESSAGES,
                "addresses": MIN_ADDRESSES,
                "times": BASELINE_FACTOR,
            },
        },
        reference="RFC 9989 §5",
    )


def _countries(mail: Mail) -> dict[str, int]:
    countries: Counter[str] = Counter()
    for source in mail.sources:
        if source.kind is SourceClass.SUSPICIOUS:
            countries.update(source.countries)
    return dict(countries.most_common(MAX_COUNTRIES))


def _parked(posture: ReportPosture) -> list[AlertDraft] | None:
    """An alert if email from a parked domain passes DMARC: an authorized sender sent it."""
    if posture.usage != "parked":
        return []
    everything, verified = posture.recent.everything, posture.recent.verified
    passed = everything.messages - everything.failed
    if passed < MIN_PARKED:
        return []
    is_proven = verified.messages - verified.failed >= MIN_PARKED
    return [
        AlertDraft(
            type="domain.parked_active",
            subject=posture.domain,
            severity=Severity.HIGH if is_proven else Severity.INFO,
            title="Parked domain sends email that passes DMARC",
            message=f"{posture.domain} is declared as parked, but "
            f"{quantity(passed, 'message')} of the last "
            "days passed DMARC. If you didn't send them, revoke its DKIM keys and review its SPF "
            "record. Otherwise change the usage of the domain.",
            evidence={
                "observed": {
                    "passed": passed,
                    "messages": everything.messages,
                    **_senders(posture),
                },
                "threshold": {"passed": MIN_PARKED},
            },
        )
    ]


def _senders(posture: ReportPosture) -> JsonObject:
    passing = [source.key for source in posture.recent.sources if source.passed]
    return {"sources": passing[:5]}


RULES: Sequence[Rule[ReportPosture]] = (
    Rule(frozenset(("source.spoofing_suspected",)), _spoofed),
    Rule(frozenset(("domain.parked_active",)), _parked),
)
