"""Libraries are used only through the names that they publish."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture.source_tree import imported_names, is_within, module_of, sources
from tests.support.paths import ROOT

OURS = ("app", "worker", "devtools", "bench", "demo", "tests")
FOLDERS = ("app", "worker", "devtools", "bench", "demo", "migrations")
NAMED_TUPLE = frozenset({"_asdict", "_fields", "_make", "_replace"})  # documented with underscores
# A module, and the private names that it may use; the list may only become shorter.
EXCEPTIONS: Mapping[str, frozenset[str]] = {}


def files() -> list[Path]:
    """Every file of the program, with the two files that servers load by path."""
    return [*sources(*FOLDERS), ROOT / "gunicorn.conf.py", ROOT / "wsgi.py"]


def is_private(name: str) -> bool:
    """Whether a name begins with exactly one underscore."""
    return name.startswith("_") and not name.startswith("__")


def private_attributes(module: ast.Module) -> Iterator[str]:
    """Return the private attributes that are read or set of other objects than our own."""
    own = _own_names(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            is_own = isinstance(node.value, ast.Name) and node.value.id in own
            if not is_own and node.attr not in NAMED_TUPLE:
                yield ast.unparse(node)


def private_imports(path: Path) -> Iterator[str]:
    """Return the private modules and names that are imported from other packages than ours."""
    for name in imported_names(path):
        if not is_within(name, OURS) and any(map(is_private, name.split("."))):
            yield name


def _own_names(module: ast.Module) -> set[str]:
    """Return the names in the module that refer to our own objects: classes and modules."""
    names = {"self", "cls"}
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and is_within(node.module or "", OURS):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", files(), ids=module_of)
def test_only_own_private_names_are_used(path: Path) -> None:
    names = [*private_attributes(ast.parse(path.read_text())), *private_imports(path)]
    assert set(names) <= EXCEPTIONS.get(module_of(path), frozenset())


@pytest.mark.parametrize(
    "source",
    ["connection._sock", "client.connection._sock.close()", "os._exit(1)", "job._name = None"],
)
def test_a_private_attribute_of_a_library_is_detected(source: str) -> None:
    assert list(private_attributes(ast.parse(source)))


@pytest.mark.parametrize("source", ["self._rows", "row._replace(a=1)", "class A:\n x = 1\nA._make"])
def test_own_and_documented_names_are_accepted(source: str) -> None:
    assert not list(private_attributes(ast.parse(source)))
