"""The alert rules on reports."""

from app.rules.engine.types import Rule
from app.rules.reports import (
    compliance,
    ingest_health,
    partial_reports,
    senders,
    spoofing,
    stricter_policy,
    tls_failures,
)
from app.rules.reports.posture import AccountPosture, ReportPosture

RULES: tuple[Rule[ReportPosture], ...] = (
    *ingest_health.RULES,
    *partial_reports.RULES,
    *tls_failures.RULES,
    *stricter_policy.RULES,
    *compliance.RULES,
    *senders.RULES,
    *spoofing.RULES,
)
ACCOUNT_RULES: tuple[Rule[AccountPosture], ...] = ingest_health.ACCOUNT_RULES
