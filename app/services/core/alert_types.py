"""Alert types in filters: one type, or all types of a group.

``dmarc.missing`` is one type. ``dmarc`` and ``dmarc.*`` are the whole group. A final ``*`` stands
for any rest.
"""

from typing import Any

from sqlalchemy import ColumnElement

from app import rules

TYPES = sorted(rules.TYPES)
GROUPS = sorted({type.partition(".")[0] for type in TYPES})


def matches(pattern: str, type: str) -> bool:
    """Return whether the alert type matches the filter."""
    prefix = _prefix(pattern)
    return type == pattern if prefix is None else type.startswith(prefix)


def condition(column: Any, pattern: str) -> ColumnElement[bool]:
    """Return the condition that the column's alert type matches the filter."""
    prefix = _prefix(pattern)
    matching: ColumnElement[bool] = (
        column == pattern if prefix is None else column.startswith(prefix, autoescape=True)
    )
    return matching


def _prefix(pattern: str) -> str | None:
    """Return what matching types start with; None if only the type itself matches."""
    if pattern.endswith("*"):
        return pattern.removesuffix("*")
    return None if "." in pattern else f"{pattern}."
