"""docs/alerts.md tells of every type of alert, and of none that there is not."""

import re

from app.api.docs.runbooks import runbooks
from app.checks import CHECKS
from app.rules import TYPES
from tests.support.paths import DOCS

TEXT = (DOCS / "alerts.md").read_text()
FINDINGS = {kind.code for check in CHECKS for kind in check.finds}


def test_every_type_has_a_row_and_every_row_a_type() -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", TEXT, re.MULTILINE)
    assert {type for cell in cells for type in re.findall(r"`([^`]+)`", cell)} == TYPES - FINDINGS


def test_every_type_has_a_runbook_that_says_what_to_do() -> None:
    found = {runbook.type: runbook for runbook in runbooks()}
    assert found.keys() == TYPES
    assert all(runbook.meaning and runbook.advice for runbook in found.values())
