"""Write the table of settings in docs/operating.md from the fields of ``Settings``."""

import re
from datetime import timedelta

from pydantic.fields import FieldInfo

from app.settings import Settings
from devtools import ROOT

PAGE = ROOT / "docs" / "operating.md"
_HEAD = "| name | default | what it does |\n| --- | --- | --- |\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\| .*\n)+")


def table() -> str:
    """Return the table in Markdown, one line for each setting in the order of the class."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def page(text: str) -> str:
    """Return the text of the page with the table of today."""
    return _TABLE.sub(lambda _: table(), text, count=1)


def _row(name: str, field: FieldInfo) -> str:
    description = " ".join((field.description or "").split())
    return f"| `{name.upper()}` | {_default(field)} | {description} |\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        value = "on" if value else "off"
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, tuple):
        value = ",".join(f"{item:g}" for item in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
