"""What deserves an alert. RULES is what a scan is held against; no type is governed by two rules."""

from app.rules import dns, findings

RULES = (*findings.RULES, *dns.RULES)
