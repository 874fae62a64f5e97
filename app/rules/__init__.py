"""The alert rules. Each alert type belongs to exactly one rule."""

from typing import Any

from app.rules import reports
from app.rules.accounts import acceptances, keys_and_channels, ownership
from app.rules.engine.types import Rule
from app.rules.scans import (
    broken_records,
    certificates,
    dns,
    failed_scans,
    findings,
    mta_sts,
    profiles,
    score,
)

# Evaluated after every scan of a domain.
RULES = (
    *(*findings.RULES, *dns.RULES, *broken_records.RULES, *mta_sts.RULES, *certificates.RULES),
    *(*score.RULES, *failed_scans.RULES),
    *profiles.RULES,
)
# Evaluated on reports, on domain ownership and on the account, at other times.
OTHERS: tuple[Rule[Any], ...] = (
    *keys_and_channels.RULES,
    *ownership.RULES,
    *acceptances.RULES,
    *reports.RULES,
    *reports.ACCOUNT_RULES,
)
TYPES = frozenset[str]().union(*(rule.types for rule in (*RULES, *OTHERS)))
