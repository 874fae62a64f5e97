"""What deserves an alert. RULES is what a scan is held against; a type is governed by one rule."""

from typing import Any

from app.rules import (
    acceptances,
    account,
    broken,
    certificates,
    dns,
    findings,
    forged,
    mta_sts,
    ownership,
    reports,
    scans,
    score,
    senders,
)
from app.rules.contract import Rule

RULES = (
    *(*findings.RULES, *dns.RULES, *broken.RULES, *mta_sts.RULES, *certificates.RULES),
    *(*score.RULES, *scans.RULES),
)
# What is held against other postures, at other times.
OTHERS: tuple[Rule[Any], ...] = (
    *account.RULES,
    *ownership.RULES,
    *acceptances.RULES,
    *reports.RULES,
    *reports.ACCOUNT_RULES,
    *senders.RULES,
    *forged.RULES,
)
TYPES = frozenset[str]().union(*(rule.types for rule in (*RULES, *OTHERS)))
