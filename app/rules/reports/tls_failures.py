"""Alerts on TLS sessions with the domain's mail servers that failed."""

from app.checks.engine.types import Severity
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.drafts import percent
from app.rules.reports.posture import ReportPosture

MIN_SESSIONS = 20


def _tls(posture: ReportPosture) -> list[AlertDraft] | None:
    measured = [tls for tls in posture.tls if tls.successful + tls.failed >= MIN_SESSIONS]
    if not measured:
        return None
    windows = {
        f"{quantity(tls.days, 'day')}": {"successful": tls.successful, "failed": tls.failed}
        for tls in measured
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
                    message=f"{posture.domain}: {percent(share)} of the TLS sessions of the last "
                    f"{quantity(tls.days, 'day')} failed "
                    f"({', '.join(list(tls.result_types)[:3])}). Senders "
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


RULES: tuple[Rule[ReportPosture], ...] = (Rule(frozenset(("tls.failure_rate",)), _tls),)
