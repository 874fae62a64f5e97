"""What deserves an alert. RULES is all of it; no alert type is governed by two rules."""

from app.rules import dns, findings

RULES = (*findings.RULES, *dns.RULES)
