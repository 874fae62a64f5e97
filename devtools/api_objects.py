"""Writes docs/api/objects.md, the fields of all objects: ``python -m devtools.api_objects``.

The descriptions stand in the schemas of the code; a test compares the page with them.
"""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from app import create_app
from app.api.docs import openapi
from app.settings import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api" / "objects.md"
_HEAD = """# Objects

The fields of all objects in requests and responses. The page is generated from the schemas of the
code by `python -m devtools.api_objects`.
"""


def text(app: Flask) -> str:
    """Return the page."""
    schemas = openapi.document(app)["components"]["schemas"]
    return "\n".join([_HEAD, *(line for item in schemas.items() for line in _lines(*item))])


def _lines(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if "properties" not in schema or name.endswith(("Response", "List")):
        return
    yield from (f"## {name}", "", textwrap.fill(schema.get("description", ""), 100), "")
    yield from ("| field | type | description |", "| --- | --- | --- |")
    for field, kind in schema["properties"].items():
        description = kind["description"].replace("|", "\\|")
        yield f"| `{field}` | {_type(kind)} | {description} |"
    yield ""


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type for people, such as "list of Finding" or "string or null"."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = schema.get("format") or schema.get("type", "any value")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def main() -> int:
    """Write the page."""
    settings = Settings(
        secret_key="x" * 40, database_url="sqlite://", redis_url="redis://127.0.0.1:1/0"
    )
    PAGE.write_text(text(create_app(settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
