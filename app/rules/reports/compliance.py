"""Alerts on the pass rate, the failures and the volume of a domain's email.

Without messages a rule cannot decide. Alerts that depend only on unverified reports are info.
"""

from collections.abc import Callable
from math import sqrt
from statistics import mean, pstdev

from app.checks.engine.types import Severity
from app.protocols.json_values import JsonObject, JsonValue
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.baseline import MIN_BASELINE, MIN_MESSAGES, Comparison, compare
from app.rules.reports.drafts import first_draft, percent
from app.rules.reports.posture import ReportPosture, Volume

DROPPED_BELOW, DROPPED_BY = 0.90, 0.10
ROUNDING = 1e-9  # tolerance when shares are compared
SPIKE_SIGMAS, SPIKE_SHARE = 4, 0.20
SPIKE_TIMES = 1.5  # at least this many times the usual
ANOMALY, ANOMALY_OF_MOST = 3, 2  # times the usual daily volume, and times the highest

_DraftFunction = Callable[[ReportPosture, Comparison, Severity], AlertDraft | None]


def _dropped(posture: ReportPosture, compared: Comparison, severity: Severity) -> AlertDraft | None:
    now, usual = compared.recent.pass_rate, compared.usual_rate
    is_below = now < DROPPED_BELOW - ROUNDING <= usual
    if not (is_below or now <= usual - DROPPED_BY + ROUNDING):
        return None
    return AlertDraft(
        type="dmarc.compliance_dropped",
        subject=posture.domain,
        severity=severity,
        title="DMARC pass rate dropped",
        message=f"{posture.domain}: {percent(now)} of the messages of the last days passed DMARC, "
        f"compared with {percent(usual)} in the four weeks before. Fix the legitimate sources "
        "that fail; the evidence lists them.",
        evidence=_evidence(
            posture,
            _rates(compared.recent),
            _usual(compared),
            {"below": DROPPED_BELOW, "drop": DROPPED_BY},
        ),
        reference="RFC 9990 §3.1",
    )


def _spiked(posture: ReportPosture, compared: Comparison, severity: Severity) -> AlertDraft | None:
    """An alert if failures exceed what chance, growth and forwarding explain."""
    usual = [failed for _, failed in compared.before.days.values()]
    spread = max(pstdev(usual), sqrt(mean(usual)))  # at least the spread of a Poisson process
    limit = max(mean(usual) + SPIKE_SIGMAS * spread, SPIKE_TIMES * mean(usual))
    worst = max(failed for _, failed in compared.recent.days.values())
    share, usual_share = 1 - compared.recent.pass_rate, 1 - compared.usual_rate
    is_high = share > SPIKE_SHARE >= usual_share and share >= SPIKE_TIMES * usual_share
    if worst < MIN_MESSAGES or not (worst > limit or is_high) or compared.is_passed_on:
        return None
    return AlertDraft(
        type="dmarc.failure_spike",
        subject=posture.domain,
        severity=severity,
        title="Spike in DMARC failures",
        message=f"{posture.domain}: {quantity(worst, 'message')} of one day failed DMARC (usual: "
        f"{mean(usual):.0f}). Either the domain is being spoofed, or one of your services stopped "
        "aligning. Check the sources in the evidence.",
        evidence=_evidence(
            posture,
            {"failedInADay": worst, **_rates(compared.recent)},
            {"failedInADay": round(mean(usual), 1), **_usual(compared)},
            {"failedInADay": round(limit, 1), "share": SPIKE_SHARE},
        ),
        reference="RFC 9990 §3.1",
    )


def _unusual(posture: ReportPosture, compared: Comparison, severity: Severity) -> AlertDraft | None:
    """An alert if a day far exceeds both the mean and the highest day of the baseline."""
    days = [messages for messages, _ in compared.before.days.values()]
    usual, limit = mean(days), max(ANOMALY * mean(days), ANOMALY_OF_MOST * max(days))
    most = max(messages for messages, _ in compared.recent.days.values())
    if most < MIN_BASELINE or most < limit:
        return None
    return AlertDraft(
        type="dmarc.volume_anomaly",
        subject=posture.domain,
        severity=severity,
        title="Unusually high email volume",
        message=f"{posture.domain}: {quantity(most, 'message')} on one day (usual: "
        f"{usual:.0f}). If you have "
        "no campaign running, check which source sent them.",
        evidence=_evidence(
            posture,
            {"messagesInADay": most},
            {"messagesInADay": round(usual, 1), "mostInADay": max(days)},
            {"times": ANOMALY, "messagesInADay": round(limit, 1)},
        ),
    )


def _usual(compared: Comparison) -> JsonObject:
    return {**_rates(compared.before), "passRate": round(compared.usual_rate, 4)}


def _rates(volume: Volume) -> JsonObject:
    return {
        "messages": volume.messages,
        "failed": volume.failed,
        "passRate": round(volume.pass_rate, 4),
    }


def _evidence(
    posture: ReportPosture, observed: JsonValue, baseline: JsonValue, threshold: JsonValue
) -> JsonObject:
    worst = sorted(posture.recent.sources, key=lambda source: -source.failed)[:5]
    samples = [
        {
            "source": source.key,
            "class": source.kind.value,
            "messages": source.messages,
            "failed": source.failed,
            "address": next(iter(source.addresses), None),
        }
        for source in worst
        if source.failed
    ]
    return {"observed": observed, "baseline": baseline, "threshold": threshold, "samples": samples}


def _rule(type: str, severity: Severity, draft_for: _DraftFunction) -> Rule[ReportPosture]:
    """Return a rule that compares verified reports, and then all reports as info."""

    def evaluate(posture: ReportPosture) -> list[AlertDraft] | None:
        recent, previous = posture.recent, posture.previous
        return first_draft(
            (
                (compare(recent.verified, previous.verified), severity),
                (compare(recent.everything, previous.everything), Severity.INFO),
            ),
            lambda compared, grade: draft_for(posture, compared, grade),
        )

    return Rule(frozenset((type,)), evaluate)


RULES: tuple[Rule[ReportPosture], ...] = (
    _rule("dmarc.compliance_dropped", Severity.HIGH, _dropped),
    _rule("dmarc.failure_spike", Severity.HIGH, _spiked),
    _rule("dmarc.volume_anomaly", Severity.MEDIUM, _unusual),
)
