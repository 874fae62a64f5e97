"""Alerts on what reports say of a domain's mail as a whole, and on reports themselves.

No report is no good news: a rule without messages to look at cannot tell. What is said only by
reports that anybody could have sent is never worth more than info.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from math import sqrt
from statistics import mean, pstdev
from typing import Any

from app.checks.engine.types import Fix, Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.baseline import MIN_BASELINE, MIN_DAYS, MIN_MESSAGES, Comparison, compare
from app.rules.reports.posture import AccountPosture, ReportPosture, Volume

NONE_AFTER = timedelta(days=3)
UNHEALTHY_AFTER = timedelta(hours=1)
STANDING_AFTER = timedelta(days=30)
DROPPED_BELOW, DROPPED_BY = 0.90, 0.10
ROUNDING = 1e-9  # of shares that are compared
SPIKE_SIGMAS, SPIKE_SHARE = 4, 0.20
SPIKE_TIMES = 1.5  # the usual, at least
ANOMALY, ANOMALY_OF_MOST = 3, 2  # times the usual volume of a day, and the greatest
MIN_FILES, MAX_QUARANTINED = 20, 0.05
MAX_SAMPLES = 20  # alerts of one rule
MIN_SESSIONS = 20

_Judge = Callable[[ReportPosture, Comparison, Severity], AlertDraft | None]


def _graded(posture: ReportPosture, severity: Severity, judge: _Judge) -> list[AlertDraft] | None:
    """The draft of reports that can be relied on; of all reports together, it is info only."""
    found: list[AlertDraft] | None = None
    for name, grade in (("verified", severity), ("everything", Severity.INFO)):
        compared = compare(getattr(posture.recent, name), getattr(posture.previous, name))
        if compared is None:
            continue
        draft = judge(posture, compared, grade)
        if draft is not None:
            return [draft]
        found = []
    return found


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _dropped(posture: ReportPosture, found: Comparison, severity: Severity) -> AlertDraft | None:
    now, usual = found.recent.pass_rate, found.usual_rate
    is_below = now < DROPPED_BELOW - ROUNDING <= usual
    if not (is_below or now <= usual - DROPPED_BY + ROUNDING):
        return None
    return AlertDraft(
        "dmarc.compliance_dropped", posture.domain, severity,
        "Less of the domain's mail passes DMARC than before",
        f"{posture.domain}: {_percent(now)} of the last days' messages passed, "
        f"{_percent(usual)} in the four weeks before. The sources that fail are in the evidence.",
        _evidence(posture, _rates(found.recent), _usual(found),
                  {"below": DROPPED_BELOW, "drop": DROPPED_BY}),
        reference="RFC 9990 §3.1",
    )  # fmt: skip


def _spiked(posture: ReportPosture, found: Comparison, severity: Severity) -> AlertDraft | None:
    """Failures that chance and growth do not explain, nor forwarders, who can do nothing else."""
    usual = [failed for _, failed in found.before.days.values()]
    spread = max(pstdev(usual), sqrt(mean(usual)))  # counts of the same mean differ by that much
    limit = max(mean(usual) + SPIKE_SIGMAS * spread, SPIKE_TIMES * mean(usual))
    worst = max(failed for _, failed in found.recent.days.values())
    share, usual_share = 1 - found.recent.pass_rate, 1 - found.usual_rate
    is_high = share > SPIKE_SHARE >= usual_share and share >= SPIKE_TIMES * usual_share
    if worst < MIN_MESSAGES or not (worst > limit or is_high) or found.is_passed_on:
        return None
    return AlertDraft(
        "dmarc.failure_spike", posture.domain, severity,
        "Far more mail fails DMARC than usual",
        f"{posture.domain}: {worst} messages of one day failed; usual are {mean(usual):.0f}. "
        "Either somebody forges the domain, or a service of yours has stopped to align.",
        _evidence(posture, {"failedInADay": worst, **_rates(found.recent)},
                  {"failedInADay": round(mean(usual), 1), **_usual(found)},
                  {"failedInADay": round(limit, 1), "share": SPIKE_SHARE}),
        reference="RFC 9990 §3.1",
    )  # fmt: skip


def _unusual(posture: ReportPosture, found: Comparison, severity: Severity) -> AlertDraft | None:
    """A day that has much more than the mean, and than any: some send all they have in one day."""
    days = [messages for messages, _ in found.before.days.values()]
    usual, limit = mean(days), max(ANOMALY * mean(days), ANOMALY_OF_MOST * max(days))
    most = max(messages for messages, _ in found.recent.days.values())
    if most < MIN_BASELINE or most < limit:
        return None
    return AlertDraft(
        "dmarc.volume_anomaly", posture.domain, severity,
        "Far more mail is sent as the domain than usual",
        f"{posture.domain}: {most} messages on one day; usual are {usual:.0f}.",
        _evidence(posture, {"messagesInADay": most},
                  {"messagesInADay": round(usual, 1), "mostInADay": max(days)},
                  {"times": ANOMALY, "messagesInADay": round(limit, 1)}),
    )  # fmt: skip


def _usual(found: Comparison) -> dict[str, Any]:
    return {**_rates(found.before), "passRate": round(found.usual_rate, 4)}


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
        {"source": source.key, "class": source.kind.value, "messages": source.messages,
         "failed": source.failed, "address": next(iter(source.addresses), None)}
        for source in worst if source.failed
    ]  # fmt: skip
    return {
        "observed": observed, "baseline": baseline, "threshold": threshold, "samples": samples
    }  # fmt: skip


def _none_received(posture: ReportPosture) -> list[AlertDraft] | None:
    if posture.rua is None or posture.is_behind:
        return None
    since = max(posture.policy_since or posture.monitored_since, posture.monitored_since)
    if not posture.rua or posture.last_report_at or posture.now - since < NONE_AFTER:
        return []
    return [AlertDraft(
        "reports.none_received", posture.domain, Severity.HIGH,
        "No report has come since reports are asked for",
        f"{posture.domain} asks for reports at {', '.join(posture.rua[:3])}, but none has come "
        f"here in {(posture.now - since).days} days. The address must lead here.",
        {"observed": {"reports": 0, "rua": list(posture.rua[:10])},
         "threshold": {"days": NONE_AFTER.days}, "since": since.isoformat()},
        reference="RFC 9989 §4.6",
    )]  # fmt: skip


def _stopped(posture: ReportPosture) -> list[AlertDraft] | None:
    """Who tells of little mail, and on few days, has none to tell of at times."""
    if not posture.reporters or posture.is_behind:
        return None
    return [AlertDraft(
        "reports.reporter_stopped", reporter.name, posture.capped(Severity.MEDIUM),
        "A reporter has stopped to report",
        f"{posture.domain}: {reporter.name} reported on {reporter.days} days, every "
        f"{reporter.typical_interval} hours, and not for "
        f"{(posture.now_hour - reporter.last) // 24} days now.",
        {"observed": {"silentHours": posture.now_hour - reporter.last},
         "baseline": {"intervalHours": reporter.typical_interval, "messages": reporter.messages}},
    ) for reporter in posture.reporters
        if reporter.has_stopped and reporter.days >= MIN_DAYS and reporter.messages >= MIN_MESSAGES
    ][:MAX_SAMPLES]  # fmt: skip


def _ready(posture: ReportPosture) -> list[AlertDraft] | None:
    step = posture.step
    if posture.policy is None or (step and step.is_ready is None):
        return None
    if step is None or not step.is_ready:
        return []
    observed = {"tag": step.tag, "current": step.current.value, "wanted": step.proposed.value,
                "forged": step.spoofed, "lost": step.legitimate_failing}  # fmt: skip
    drafts = [AlertDraft(
        "dmarc.ready_for_next_policy", posture.domain, Severity.INFO,
        f"The DMARC policy may go up: {step.tag}={step.proposed}",
        f"{posture.domain}: no source of its own would lose mail with {step.tag}={step.proposed}.",
        {"observed": observed}, fix=_fix(posture), reference="RFC 9989 §4.7",
    )]  # fmt: skip
    since = posture.policy_since or posture.monitored_since
    if posture.policy == "none" and posture.now - since >= STANDING_AFTER:
        days = (posture.now - since).days
        drafts.append(AlertDraft(
            "dmarc.policy_none_standing", posture.domain, posture.capped(Severity.LOW),
            "p=none stands although the domain is ready for more",
            f"{posture.domain}: p=none for {days} days; forged mail is delivered all the while.",
            {"observed": {"days": days, **observed}, "threshold": {"days": STANDING_AFTER.days}},
            fix=_fix(posture), reference="RFC 9989 §4.7",
        ))  # fmt: skip
    return drafts


def _fix(posture: ReportPosture) -> Fix | None:
    step = posture.step
    if step is None or step.record is None or posture.record_name is None:
        return None
    name, before = posture.record_name, step.rollback
    back = before or "Remove the record again."
    why = "All mail of the domain's own sources passes: only what is forged is met."
    return Fix("replace" if before else "publish", name, "TXT", before, step.record, back, why)


def _failure_reports(posture: ReportPosture) -> list[AlertDraft]:
    if not posture.failure_report_count:
        return []
    count = posture.failure_report_count
    return [AlertDraft(
        "ruf.received", posture.domain, Severity.INFO, "Failure reports have come",
        f"{posture.domain}: {count} failure reports in the last day.",
        {"observed": {"reports": count}, "samples": list(posture.failure_reports)},
        reference="RFC 9991 §4",
    )]  # fmt: skip


def _tls(posture: ReportPosture) -> list[AlertDraft] | None:
    seen = [tls for tls in posture.tls if tls.successful + tls.failed >= MIN_SESSIONS]
    if not seen:
        return None
    windows = {
        f"{tls.days} days": {"successful": tls.successful, "failed": tls.failed} for tls in seen
    }
    for tls in seen:
        if tls.failed and tls.days <= 7:  # a failure is held for a week, so that it does not flap
            share = tls.failed / (tls.successful + tls.failed)
            severity = _band(share) if tls.is_verified else Severity.INFO
            return [AlertDraft(
                "tls.failure_rate", posture.domain, severity,
                "Senders fail to deliver over TLS",
                f"{posture.domain}: {_percent(share)} of the sessions of {tls.days} days failed: "
                f"{', '.join(list(tls.result_types)[:3])}.",
                {"observed": {"share": round(share, 4), "resultTypes": dict(tls.result_types),
                              "hosts": dict(tls.hosts)},
                 "windows": windows, "threshold": {"bands": [0, 0.1, 0.5]}},
                reference="RFC 8460 §4.3",
            )]  # fmt: skip
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


def _parse_failed(posture: AccountPosture) -> Iterable[AlertDraft] | None:
    """Strangers can send as much as they like that is no report: what is not the account's own
    upload is worth no more than info."""
    is_known = False
    for files, severity in (
        (posture.own_files, Severity.MEDIUM),
        (posture.all_files, Severity.INFO),
    ):
        if files.files < MIN_FILES:
            continue
        is_known = True
        if files.quarantined / files.files > MAX_QUARANTINED:
            return [AlertDraft(
                "report.parse_failed_rate", "", severity,
                "Many of the files that come in cannot be read as reports",
                f"{files.quarantined} of {files.files} files of the last day are in quarantine.",
                {"observed": {"files": files.files, "quarantined": files.quarantined,
                              "reasons": dict(files.reasons)},
                 "threshold": {"share": MAX_QUARANTINED}},
            )]  # fmt: skip
    return [] if is_known else None


def _foreign(posture: AccountPosture) -> Iterable[AlertDraft]:
    return [AlertDraft(
        "report.foreign_domain", name, Severity.INFO,
        "Reports come about a domain that is not verified here",
        f"{count} reports of the last week are about {name}, which the account has not verified.",
        {"observed": {"domain": name, "reports": count}},
    ) for name, count in list(posture.foreign.items())[:MAX_SAMPLES]]  # fmt: skip


def _unhealthy(posture: AccountPosture) -> Iterable[AlertDraft]:
    """A pull that fails once or twice is tried again soon: nothing is lost by that."""
    return [AlertDraft(
        "reports.source_unhealthy", mailbox.id, Severity.HIGH,
        "Reports cannot be pulled from a mailbox",
        f"Every pull of {mailbox.name} has failed since {mailbox.failing_since:%Y-%m-%d %H:%M} "
        f"UTC: {mailbox.failure}.",
        {"observed": {"failure": mailbox.failure}, "since": mailbox.failing_since.isoformat(),
         "threshold": {"minutes": UNHEALTHY_AFTER.seconds // 60}},
    ) for mailbox in posture.failing
        if posture.now - mailbox.failing_since >= UNHEALTHY_AFTER][:MAX_SAMPLES]  # fmt: skip


def _inauthentic(posture: AccountPosture) -> Iterable[AlertDraft]:
    """Anybody can send a mail that is provably not the reporter's, so that this is info."""
    return [AlertDraft(
        "report.authenticity_failed", found.reporter, Severity.INFO,
        "Reports are not from whom they say",
        f"{found.reports} reports of the last week say that they are from {found.reporter}. The "
        f"mails that brought them, in the name of {', '.join(found.authors[:3])}, are provably "
        "not. The reports count as unverified.",
        {"observed": {"reports": found.reports, "authors": list(found.authors[:MAX_SAMPLES]),
                      "isWellKnown": found.is_well_known},
         "samples": list(found.files)},
        reference="RFC 6376 §6.1",
    ) for found in posture.doubtful[:MAX_SAMPLES]]  # fmt: skip


ACCOUNT_RULES: tuple[Rule[AccountPosture], ...] = (
    Rule(frozenset(("report.parse_failed_rate",)), _parse_failed),
    Rule(frozenset(("report.foreign_domain",)), _foreign),
    Rule(frozenset(("reports.source_unhealthy",)), _unhealthy),
    Rule(frozenset(("report.authenticity_failed",)), _inauthentic),
)
