"""Write the table of settings in docs/operating.md from the fields of ``Settings``.

The descriptions are the docstrings below the fields. They are read here, from the source, because
that takes 50 ms, which no process of the service should spend at its start.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from app.settings import Settings
from devtools import ROOT

PAGE = ROOT / "docs" / "operating.md"
_HEAD = "| name | default | what it does |\n| --- | --- | --- |\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\| .*\n)+")


def table() -> str:
    """Return the table in Markdown, one line for each setting in the order of the class."""
    texts = descriptions()
    rows = (_row(name, field, texts[name]) for name, field in Settings.model_fields.items())
    return _HEAD + "".join(rows)


def descriptions() -> Mapping[str, str]:
    """Return the docstring of each field, as one line."""
    groups = [base for base in Settings.__bases__ if base is not BaseSettings]
    return {name: text for group in groups for name, text in _docstrings(group)}


def _docstrings(group: type) -> Iterator[tuple[str, str]]:
    [definition] = ast.parse(inspect.getsource(group)).body
    for field, text in pairwise(ast.iter_child_nodes(definition)):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(docstring))):
                yield name, " ".join(docstring.split())


def page(text: str) -> str:
    """Return the text of the page with the table of today."""
    return _TABLE.sub(lambda _: table(), text, count=1)


def _row(name: str, field: FieldInfo, description: str) -> str:
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
