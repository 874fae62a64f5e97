"""The wheel of ``clients/checks`` has the modules that run all checks, and nothing else."""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from clients.checks import hatch_build
from mailwatch.cli.program import app
from tests.architecture.source_tree import module_imports, modules
from tests.support import client_wheels
from tests.support.paths import ROOT

PACKAGE = "mailwatch_checks"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The sources in the wheel by path in the package."""
    with ZipFile(client_wheels.build("checks", tmp_path_factory.mktemp("wheel"))) as wheel:
        return {
            name.removeprefix(f"{PACKAGE}/"): wheel.read(name).decode()
            for name in wheel.namelist()
            if name.startswith(f"{PACKAGE}/")
        }


def imported_modules() -> set[str]:
    """The entry and all modules that it imports, without the application itself."""
    pending, names = ["app.standalone"], set[str]()
    while pending:
        name = pending.pop()
        if name in names or name == "app":
            continue
        names.add(name)
        pending += [*module_imports(modules()[name]), name.rpartition(".")[0]]
    return names


def roots(text: str) -> Iterator[str]:
    """The packages that a module imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_wheel_has_the_modules_that_are_imported_and_no_others(files: Mapping[str, str]) -> None:
    paths = {modules()[name].relative_to(ROOT / "app").as_posix() for name in imported_modules()}
    assert files.keys() == paths | {"__init__.py"}
    forbidden = ("app.settings", "app.metrics", "app.models", "app.services", "app.db")
    assert not [name for name in imported_modules() if name.startswith(forbidden)]


def test_copied_modules_differ_in_their_imports_only(files: Mapping[str, str]) -> None:
    for path, text in files.items():
        if path != "__init__.py":
            original = (ROOT / "app" / path).read_text()
            assert text.replace(f"from {PACKAGE}", "from app") == original
            assert "app" not in set(roots(text)), path


def test_package_declares_the_libraries_that_its_modules_import(files: Mapping[str, str]) -> None:
    imported = {root for text in files.values() for root in roots(text)}
    libraries = imported - {PACKAGE} - sys.stdlib_module_names
    known = packages_distributions()
    needed = {distribution.lower() for library in libraries for distribution in known[library]}
    project = tomllib.loads((ROOT / "clients" / "checks" / "pyproject.toml").read_text())
    declared = {text.partition(">")[0] for text in project["project"]["dependencies"]}
    assert needed == declared


@pytest.mark.parametrize(
    "text", ["import app.ids\n", "from . import ids\n", "if 1: from  app import ids\n"]
)
def test_imports_that_cannot_be_renamed_stop_the_build(text: str) -> None:
    with pytest.raises(ValueError, match="import"):
        hatch_build.renamed(text)


def test_all_imports_of_a_module_are_renamed(tmp_path: Path) -> None:
    text = "from app import ids\nfrom apple import x\n\n\ndef f():\n    from app.ids import new\n"
    renamed = hatch_build.renamed(text)
    assert renamed.count(f"from {PACKAGE}") == 2
    assert "from apple import x" in renamed


def test_command_says_what_to_install_without_the_package() -> None:
    result = CliRunner().invoke(app, ["check", "--local", "d1.test"])
    assert result.exit_code == 2
    assert "mailwatch-client[local]" in result.output


def test_options_of_local_checks_are_refused_for_scans_of_a_service() -> None:
    result = CliRunner().invoke(app, ["check", "d1.test", "--nameserver", "127.0.0.1"])
    assert result.exit_code == 2
    assert "need --local" in result.output
