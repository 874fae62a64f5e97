"""Alerts on a domain's email as a whole, and on missing reports.

Without messages a rule cannot decide. Alerts that depend only on unverified reports are info.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from math import sqrt
from statistics import mean, pstdev
from typing import Any

from app.checks.engine.types import Fix, Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.baseline import MIN_BASELINE, MIN_DAYS, MIN_MESSAGES, Comparison, compare
from app.rules.reports.posture import ReportPosture, Volume

NONE_AFTER = timedelta(days=3)
STANDING_AFTER = timedelta(days=30)
DROPPED_BELOW, DROPPED_BY = 0.90, 0.10
ROUNDING = 1e-9  # tolerance when shares are compared
SPIKE_SIGMAS, SPIKE_SHARE = 4, 0.20
SPIKE_TIMES = 1.5  # at least this many times the usual
ANOMALY, ANOMALY_OF_MOST = 3, 2  # times the usual daily volume, and times the highest
MAX_SAMPLES = 20  # alerts per rule
MIN_SESSIONS = 20

_Judge = Callable[[ReportPosture, Comparison, Severity], AlertDraft | None]


def _graded(posture: ReportPosture, severity: Severity, judge: _Judge) -> list[AlertDraft] | None:
    """The draft for verified reports; if there is none, that for all reports as info."""
    drafts: list[AlertDraft] | None = None
    for name, grade in (("verified", severity), ("everything", Severity.INFO)):
        compared = compare(getattr(posture.recent, name), getattr(posture.previous, name))
        if compared is None:
            continue
        draft = judge(posture, compared, grade)
        if draft is not None:
            return [draft]
        drafts = []
    return drafts


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


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
        message=f"{posture.domain}: {_percent(now)} of the messages of the last days passed DMARC, "
        f"compared with {_percent(usual)} in the four weeks before. Fix the legitimate sources "
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
        message=f"{posture.domain}: {worst} messages of one day failed DMARC (usual: "
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
        message=f"{posture.domain}: {most} messages on one day (usual: {usual:.0f}). If you have "
        "no campaign running, check which source sent them.",
        evidence=_evidence(
            posture,
            {"messagesInADay": most},
            {"messagesInADay": round(usual, 1), "mostInADay": max(days)},
            {"times": ANOMALY, "messagesInADay": round(limit, 1)},
        ),
    )


def _usual(compared: Comparison) -> dict[str, Any]:
    return {**_rates(compared.before), "passRate": round(compared.usual_rate, 4)}


def _rates(volume: Volume) -> dict[str, Any]:
    return {
        "messages": volume.messages,
        "failed": volume.failed,
        "passRate": round(volume.pass_rate, 4),
    }


def _evidence(
    posture: ReportPosture, observed: Any, baseline: Any, threshold: Any
) -> dict[str, Any]:
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


def _none_received(posture: ReportPosture) -> list[AlertDraft] | None:
    if posture.rua is None or posture.is_behind:
        return None
    since = max(posture.policy_since or posture.monitored_since, posture.monitored_since)
    if not posture.rua or posture.last_report_at or posture.now - since < NONE_AFTER:
        return []
    return [
        AlertDraft(
            type="reports.none_received",
            subject=posture.domain,
            severity=Severity.HIGH,
            title="No aggregate reports received",
            message=f"{posture.domain}: the DMARC record sends aggregate reports to "
            f"{', '.join(posture.rua[:3])}, but mailwatch received none in "
            f"{(posture.now - since).days} days. Check that this address is delivered to "
            "mailwatch.",
            evidence={
                "observed": {"reports": 0, "rua": list(posture.rua[:10])},
                "threshold": {"days": NONE_AFTER.days},
                "since": since.isoformat(),
            },
            reference="RFC 9989 §4.6",
        )
    ]


def _stopped(posture: ReportPosture) -> list[AlertDraft] | None:
    """Alerts on silent reporters; those that reported little may just have nothing to report."""
    if not posture.reporters or posture.is_behind:
        return None
    return [
        AlertDraft(
            type="reports.reporter_stopped",
            subject=reporter.name,
            severity=posture.capped(Severity.MEDIUM),
            title="A reporter stopped sending reports",
            message=f"{posture.domain}: {reporter.name} reported on {reporter.days} days, usually "
            f"every {reporter.typical_interval} hours, but sent nothing for "
            f"{(posture.now_hour - reporter.last) // 24} days. If all reporters are silent, check "
            "the rua address of the DMARC record and the mailbox.",
            evidence={
                "observed": {"silentHours": posture.now_hour - reporter.last},
                "baseline": {
                    "intervalHours": reporter.typical_interval,
                    "messages": reporter.messages,
                },
            },
        )
        for reporter in posture.reporters
        if reporter.has_stopped and reporter.days >= MIN_DAYS and reporter.messages >= MIN_MESSAGES
    ][:MAX_SAMPLES]


def _ready(posture: ReportPosture) -> list[AlertDraft] | None:
    step = posture.step
    if posture.policy is None or (step and step.is_ready is None):
        return None
    if step is None or not step.is_ready:
        return []
    observed = {
        "tag": step.tag,
        "current": step.current.value,
        "wanted": step.proposed.value,
        "forged": step.spoofed,
        "lost": step.legitimate_failing,
    }
    drafts = [
        AlertDraft(
            type="dmarc.ready_for_next_policy",
            subject=posture.domain,
            severity=Severity.INFO,
            title=f"Ready for a stricter DMARC policy ({step.tag}={step.proposed})",
            message=f"{posture.domain}: with {step.tag}={step.proposed} none of your own sources "
            "would lose email. Publish the new record.",
            evidence={"observed": observed},
            fix=_fix(posture),
            reference="RFC 9989 §4.7",
        )
    ]
    return [*drafts, *_still_none(posture, observed)]


def _still_none(posture: ReportPosture, observed: Mapping[str, Any]) -> Iterator[AlertDraft]:
    since = posture.policy_since or posture.monitored_since
    if posture.policy == "none" and posture.now - since >= STANDING_AFTER:
        days = (posture.now - since).days
        yield AlertDraft(
            type="dmarc.policy_none_standing",
            subject=posture.domain,
            severity=posture.capped(Severity.LOW),
            title="DMARC policy still p=none although ready to enforce",
            message=f"{posture.domain}: the DMARC policy has been p=none for {days} days, so "
            "receivers deliver spoofed email. Publish the stricter record.",
            evidence={
                "observed": {"days": days, **observed},
                "threshold": {"days": STANDING_AFTER.days},
            },
            fix=_fix(posture),
            reference="RFC 9989 §4.7",
        )


def _fix(posture: ReportPosture) -> Fix | None:
    step = posture.step
    if step is None or step.record is None or posture.record_name is None:
        return None
    name, before = posture.record_name, step.rollback
    rollback = before or "Remove the record again."
    why = "All email from your own sources passes DMARC, so only spoofed email is affected."
    return Fix("replace" if before else "publish", name, "TXT", before, step.record, rollback, why)


def _failure_reports(posture: ReportPosture) -> list[AlertDraft]:
    if not posture.failure_report_count:
        return []
    count = posture.failure_report_count
    return [
        AlertDraft(
            type="ruf.received",
            subject=posture.domain,
            severity=Severity.INFO,
            title="DMARC failure reports received",
            message=f"{posture.domain}: {count} failure reports arrived in the last day. Review "
            "the messages that failed.",
            evidence={"observed": {"reports": count}, "samples": list(posture.failure_reports)},
            reference="RFC 9991 §4",
        )
    ]


def _tls(posture: ReportPosture) -> list[AlertDraft] | None:
    measured = [tls for tls in posture.tls if tls.successful + tls.failed >= MIN_SESSIONS]
    if not measured:
        return None
    windows = {
        f"{tls.days} days": {"successful": tls.successful, "failed": tls.failed} for tls in measured
    }
    for tls in measured:
        # A failure keeps the alert open for a week, so that it does not flap.
        if tls.failed and tls.days <= 7:
            share = tls.failed / (tls.successful + tls.failed)
            severity = _band(share) if tls.is_verified else Severity.INFO
            return [
                AlertDraft(
                    type="tls.failure_rate",
                    subject=posture.domain,
                    severity=severity,
                    title="TLS sessions with your mail servers fail",
                    message=f"{posture.domain}: {_percent(share)} of the TLS sessions of the last "
                    f"{tls.days} days failed ({', '.join(list(tls.result_types)[:3])}). Senders "
                    "that enforce TLS do not deliver. Check the hosts in the evidence.",
                    evidence={
                        "observed": {
                            "share": round(share, 4),
                            "resultTypes": dict(tls.result_types),
                            "hosts": dict(tls.hosts),
                        },
                        "windows": windows,
                        "threshold": {"bands": [0, 0.1, 0.5]},
                    },
                    reference="RFC 8460 §4.3",
                )
            ]
    return []


def _band(share: float) -> Severity:
    return Severity.MEDIUM if share < 0.1 else Severity.HIGH if share < 0.5 else Severity.CRITICAL


def _rule(type: str, severity: Severity, judge: _Judge) -> Rule[ReportPosture]:
    return Rule(frozenset((type,)), lambda posture: _graded(posture, severity, judge))


RULES: tuple[Rule[ReportPosture], ...] = (
    Rule(frozenset(("reports.none_received",)), _none_received),
    Rule(frozenset(("reports.reporter_stopped",)), _stopped),
    Rule(frozenset(("tls.failure_rate",)), _tls),
    Rule(frozenset(("ruf.received",)), _failure_reports),
    Rule(frozenset(("dmarc.ready_for_next_policy", "dmarc.policy_none_standing")), _ready),
    _rule("dmarc.compliance_dropped", Severity.HIGH, _dropped),
    _rule("dmarc.failure_spike", Severity.HIGH, _spiked),
    _rule("dmarc.volume_anomaly", Severity.MEDIUM, _unusual),
)
