"""What deserves an alert. RULES is what a scan is held against; a type is governed by one rule."""

from typing import Any

from app.rules.accounts import acceptances, keys_and_channels, ownership
from app.rules.engine.types import Rule
from app.rules.reports import reports, senders, spoofing
from app.rules.scans import (
    broken_records,
    certificates,
    dns,
    failed_scans,
    findings,
    mta_sts,
    score,
)

RULES = (
    *(*findings.RULES, *dns.RULES, *broken_records.RULES, *mta_sts.RULES, *certificates.RULES),
    *(*score.RULES, *failed_scans.RULES),
)
# What is held against other postures, at other times.
OTHERS: tuple[Rule[Any], ...] = (
    *keys_and_channels.RULES,
    *ownership.RULES,
    *acceptances.RULES,
    *reports.RULES,
    *reports.ACCOUNT_RULES,
    *senders.RULES,
    *spoofing.RULES,
)
TYPES = frozenset[str]().union(*(rule.types for rule in (*RULES, *OTHERS)))
