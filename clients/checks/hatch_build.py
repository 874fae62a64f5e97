"""Builds the wheel: ``app.standalone`` and all modules that it imports, as ``mailwatch_checks``.

The modules are copied from the service. Only their imports change: ``app`` is ``mailwatch_checks``.
"""

import ast
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, TARGET = "app", "mailwatch_checks"
ENTRY = f"{SOURCE}.standalone"
INIT = '"""The checks of mailwatch; ``standalone.check`` runs them."""\n'


class CopiedModules(BuildHookInterface[Any]):
    """Adds the copies to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the copies to a temporary folder, and include it."""
        self._folder = tempfile.TemporaryDirectory(prefix="mailwatch-checks-")
        write(Path(self.root).parents[1], Path(self._folder.name))
        build_data["force_include"][self._folder.name] = TARGET

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        self._folder.cleanup()


def write(root: Path, folder: Path) -> None:
    """Write the package to the folder.

    root    the folder that has ``app``
    raises  ValueError for a module with an import that cannot be copied
    """
    for path in closure(root):
        target = folder / path.relative_to(root / SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(renamed(path.read_text()))
    (folder / "__init__.py").write_text(INIT)


def closure(root: Path) -> list[Path]:
    """Return the files of ENTRY and of all modules and packages that it imports.

    ``app`` itself is left out, because importing it creates the application.
    """
    pending, paths = [ENTRY], set[Path]()
    while pending:
        name = pending.pop()
        path = _path(root, name)
        if path is None or path in paths or name == SOURCE:
            continue
        paths.add(path)
        pending.append(name.rpartition(".")[0])
        pending += [
            imported
            for node in _imports(path.read_text())
            for imported in (node.module or "", *(f"{node.module}.{a.name}" for a in node.names))
        ]
    return sorted(paths)


def renamed(text: str) -> str:
    """Return the source of a module with the imports of ``app`` renamed."""
    lines = text.splitlines(keepends=True)
    for node in _imports(text):
        line, start = lines[node.lineno - 1], f"from {SOURCE}"
        before, after = line[: node.col_offset], line[node.col_offset :]
        if not after.startswith(start):
            raise ValueError(f"an import is not written 'from {SOURCE}…': {line}")
        lines[node.lineno - 1] = f"{before}from {TARGET}{after.removeprefix(start)}"
    return "".join(lines)


def _imports(text: str) -> Iterator[ast.ImportFrom]:
    """Yield the imports of ``app``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and any(_is_ours(alias.name) for alias in node.names):
            raise ValueError(f"import {SOURCE}… cannot be renamed, but from {SOURCE} import … can")
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError("relative imports are not followed")
            if _is_ours(node.module or ""):
                yield node


def _is_ours(name: str) -> bool:
    return name == SOURCE or name.startswith(f"{SOURCE}.")


def _path(root: Path, name: str) -> Path | None:
    """The file of a module or package; None for a name within a module."""
    path = root.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)
