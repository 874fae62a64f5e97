"""Migrations form one chain: two that were written at the same time must not share a number."""

import ast
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"


def revisions(path: Path) -> tuple[object, ...]:
    """The values of ``revision`` and ``down_revision`` of a migration."""
    values: dict[str, object] = {}
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign):
            [target], value = statement.targets, statement.value
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            items = value.elts if isinstance(value, ast.Tuple) else [value]
            for name, item in zip(names, items, strict=False):
                if isinstance(name, ast.Name) and isinstance(item, ast.Constant):
                    values[name.id] = item.value
    return values.get("revision"), values.get("down_revision")


def test_every_migration_follows_the_one_before_it() -> None:
    previous = None
    for path in sorted(VERSIONS.glob("*.py")):
        number = path.name[:4]
        assert revisions(path) == (number, previous), path.name
        previous = number
