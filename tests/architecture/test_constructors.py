"""Values with many fields are created with the names of their fields."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source_tree import module_of, sources, tree

MAX_POSITIONAL = 3
FOLDERS = ("app", "worker", "tests", "demo", "bench", "devtools", "clients")


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=module_of)
def test_constructors_with_four_or_more_fields_are_called_with_keywords(path: Path) -> None:
    assert positional_calls(tree(path), value_classes()) == []


def test_positional_calls_are_found_with_and_without_the_name_of_the_module() -> None:
    module = ast.parse(
        "Fix(1, 2, 3, 4)\ntypes.Fix(1, 2, 3, 4)\nFix(1, 2, 3, d=4)\nother(1, 2, 3, 4)"
    )
    assert positional_calls(module, frozenset({"Fix"})) == ["Fix in line 1", "Fix in line 2"]
    assert {"Fix", "SeriesQuery"} <= value_classes()


@cache
def value_classes() -> frozenset[str]:
    """The names of all dataclasses and named tuples of the project."""
    return frozenset(
        node.name
        for path in sources(*FOLDERS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and is_value_class(node)
    )


def is_value_class(node: ast.ClassDef) -> bool:
    decorators = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return "dataclass" in map(last_name, decorators) or "NamedTuple" in map(last_name, node.bases)


def positional_calls(module: ast.Module, classes: frozenset[str]) -> list[str]:
    """Calls of these classes with many positional arguments; rows may be unpacked with ``*``."""
    return [
        f"{last_name(node.func)} in line {node.lineno}"
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and last_name(node.func) in classes
        and len(node.args) > MAX_POSITIONAL
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    ]


def last_name(node: ast.expr) -> str | None:
    """The name of a class, also after the name of its module."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
