"""What deserves an alert. RULES is what a scan is held against; a type is governed by one rule."""

from app.rules import dns, findings

RULES = (*findings.RULES, *dns.RULES)
