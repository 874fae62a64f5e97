"""The meaning and remediation of each alert type and finding."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.checks import FINDING_TYPES

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "alerts.md"
_ROW = re.compile(r"^\| (`[a-z0-9_.`\s]+`) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)
_TYPE = re.compile(r"`([a-z0-9_]+\.[a-z0-9_.]+)`")


@dataclass(frozen=True, slots=True)
class Runbook:
    """The documentation of one alert type; code in the texts is in back quotes."""

    type: str
    severity: str
    meaning: str
    advice: str


def runbooks() -> Iterator[Runbook]:
    """Yield the alert types of docs/alerts.md, then the finding types of the checks."""
    for cell, severity, meaning, advice in _ROW.findall(DOCUMENT.read_text()):
        for type in _TYPE.findall(cell):
            yield Runbook(type=type, severity=severity, meaning=meaning, advice=advice)
    for kind in FINDING_TYPES.values():
        yield Runbook(
            type=kind.code, severity=kind.severity, meaning=kind.meaning, advice=kind.remediation
        )
