"""docs/alerts.md documents every alert type, and no other type."""

import re

from app.api.docs.runbooks import runbooks
from app.checks import CHECKS
from app.rules import TYPES
from tests.support.paths import DOCS

TEXT = (DOCS / "alerts.md").read_text()
FINDINGS = {kind.code for check in CHECKS for kind in check.finds}


def test_documented_types_are_those_of_the_rules() -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", TEXT, re.MULTILINE)
    assert {type for cell in cells for type in re.findall(r"`([^`]+)`", cell)} == TYPES - FINDINGS


def test_every_type_has_a_runbook_with_meaning_and_advice() -> None:
    by_type = {runbook.type: runbook for runbook in runbooks()}
    assert by_type.keys() == TYPES
    assert all(runbook.meaning and runbook.advice for runbook in by_type.values())
