"""Alerts on mail that uses the domain without being its own: forged, or of a domain that is parked.

What only reports say that anybody could have sent is worth info, and no more.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Flow
from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import BASELINE_DAYS, RECENT_DAYS, Mail, ReportPosture

MIN_MESSAGES, MIN_ADDRESSES = 100, 10
BASELINE_FACTOR = 3
MIN_PARKED = 10
MAX_COUNTRIES = 10
_REFUSED = ("quarantine", "reject")


@dataclass(frozen=True, slots=True)
class _Spoofing:
    """Messages without any authentication, of sources that are suspicious."""

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
    for trusted_only, severity in ((True, Severity.HIGH), (False, Severity.INFO)):
        now = _spoofing_candidates(posture.recent, trusted_only=trusted_only)
        before = _spoofing_candidates(posture.previous, trusted_only=trusted_only)
        usual = before.messages * RECENT_DAYS / BASELINE_DAYS
        is_much = now.messages >= MIN_MESSAGES and len(now.addresses) >= MIN_ADDRESSES
        if is_much and now.messages > BASELINE_FACTOR * usual:
            return [_of_spoofing(posture, now, usual, severity)]
    return []


def _of_spoofing(
    posture: ReportPosture, now: _Spoofing, usual: float, severity: Severity
) -> AlertDraft:
    observed = {
        "messages": now.messages, "refused": now.refused, "addresses": len(now.addresses),
        "countries": _countries(posture.recent), "policy": posture.policy,
    }  # fmt: skip
    samples = [{"address": ip, "messages": count} for ip, count in now.addresses.most_common(5)]
    return AlertDraft(
        "source.spoofing_suspected", posture.domain, severity,
        "The domain is forged from many addresses",
        f"{posture.domain}: {now.messages} messages from {len(now.addresses)} addresses have no "
        f"authentication at all; receivers refused or set aside {now.refused} of them. Usual are "
        f"{usual:.0f}. With p=reject they are refused.",
        {"observed": observed, "baseline": {"messages": round(usual, 1)}, "samples": samples,
         "threshold": {"messages": MIN_MESSAGES, "addresses": MIN_ADDRESSES,
                       "times": BASELINE_FACTOR}},
        reference="RFC 9989 §5",
    )  # fmt: skip


def _countries(mail: Mail) -> dict[str, int]:
    found: Counter[str] = Counter()
    for source in mail.sources:
        if source.kind is SourceClass.SUSPICIOUS:
            found.update(source.countries)
    return dict(found.most_common(MAX_COUNTRIES))


def _parked(posture: ReportPosture) -> list[AlertDraft] | None:
    """A parked domain of which mail passes: it was sent by somebody who may use it."""
    if posture.usage != "parked":
        return []
    everything, verified = posture.recent.everything, posture.recent.verified
    passed = everything.messages - everything.failed
    if passed < MIN_PARKED:
        return []
    is_proven = verified.messages - verified.failed >= MIN_PARKED
    return [AlertDraft(
        "domain.parked_active", posture.domain, Severity.HIGH if is_proven else Severity.INFO,
        "A parked domain sends mail that passes",
        f"{posture.domain} is parked, and {passed} messages of the last days passed DMARC. If "
        "that is none of yours, look who has its keys and servers; else it is not parked.",
        {"observed": {"passed": passed, "messages": everything.messages, **_senders(posture)},
         "threshold": {"passed": MIN_PARKED}},
    )]  # fmt: skip


def _senders(posture: ReportPosture) -> dict[str, Any]:
    passing = [source.key for source in posture.recent.sources if source.passed]
    return {"sources": passing[:5]}


RULES: Sequence[Rule[ReportPosture]] = (
    Rule(frozenset(("source.spoofing_suspected",)), _spoofed),
    Rule(frozenset(("domain.parked_active",)), _parked),
)
