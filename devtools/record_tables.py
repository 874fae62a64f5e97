"""The field tables of ``docs/exporting.md``, generated from the kinds of records."""

import textwrap
from collections.abc import Mapping

from app.services.forwarding.kinds import COMMON, KINDS
from devtools import ROOT

MAX_COLUMNS = 100
PAGE = ROOT / "docs" / "exporting.md"
START, END = "<!-- fields: begin -->\n", "<!-- fields: end -->"


def tables() -> str:
    """Return the tables in Markdown."""
    parts = ["### All records", "", *_rows(COMMON)]
    for kind in KINDS:
        description = textwrap.fill(kind.description, MAX_COLUMNS)
        parts += ["", f"### {kind.name}", "", description, "", *_rows(kind.fields)]
    return "\n".join(parts) + "\n"


def page(text: str) -> str:
    """Return the page with current tables."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{tables()}\n{END}{rest.partition(END)[2]}"


def _rows(fields: Mapping[str, str]) -> list[str]:
    rows = (f"| `{name}` | {text} |" for name, text in fields.items())
    return ["| field | content |", "| --- | --- |", *rows]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
