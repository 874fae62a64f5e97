"""Write the tables of findings in docs/checks.md from the finding types of the checks."""

import re

from app.checks import CHECKS
from app.checks.engine.types import Check, FindingType
from devtools import ROOT

PAGE = ROOT / "docs" / "checks.md"
_HEAD = (
    "| code | severity | what it means | what to do | reference |\n"
    "| --- | --- | --- | --- | --- |\n"
)
_TABLE = re.escape(_HEAD) + r"(?:\| .*\n)*"


def table(check: Check) -> str:
    """Return the table of a check in Markdown, with one line for each finding type."""
    return _HEAD + "".join(map(_row, check.finds))


def page(text: str) -> str:
    """Return the text of the page with the current table in the section of each check."""
    for check in CHECKS:
        section = re.compile(rf"(^## {check.name}\n(?:(?!## ).*\n)*?){_TABLE}", re.MULTILINE)
        for match in section.finditer(text):
            text = text.replace(match[0], match[1] + table(check))
    return text


def _row(kind: FindingType) -> str:
    cells = (
        f"`{kind.code}`",
        kind.severity.value,
        kind.meaning,
        kind.remediation,
        kind.reference,
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
