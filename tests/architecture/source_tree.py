"""The project's Python files as modules, with what each imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

GENERATED = ROOT / "clients" / "python" / "src" / "mailwatch" / "generated"  # not by people


def sources(*folders: str) -> list[Path]:
    """Every Python file below the folders that a person wrote, in order."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in paths if path.parent != GENERATED]


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


def imported_names(path: Path) -> Iterator[str]:
    """Every module, or name within a module, that the file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def modules() -> dict[str, Path]:
    """Our modules by name."""
    return {module_of(path): path for path in sources("app", "worker")}


def module_imports(path: Path, *, is_load_time: bool = False) -> set[str]:
    """Which of our modules the file imports.

    is_load_time  only imports that run when the module is loaded, not those within functions
    """
    known_modules = modules()
    names = set(_load_time_names(tree(path)) if is_load_time else imported_names(path))
    return {
        name if name in known_modules else name.rpartition(".")[0]
        for name in names
        if name in known_modules or name.rpartition(".")[0] in known_modules
    }


def _load_time_names(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether the name is one of the packages, or below one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
