"""How large files and functions may be."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source_tree import module_of, sources, tree
from tests.support.paths import ROOT

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 400, 40, 5
MAX_MODULES = 12  # in a package, without its __init__.py
# Its functions have a parameter for each option of a command.
COMMANDS = ROOT / "clients" / "python" / "src" / "mailwatch" / "cli" / "commands"
FOLDERS = ("app", "worker", "migrations", "tests", "devtools", "demo", "bench", "clients")


# Functions that are still longer; the list may only become shorter.
LONGER_FUNCTIONS: dict[str, int] = {}


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=module_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    for function in functions(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        is_migration = "migrations" in path.parts
        most = LONGER_FUNCTIONS.get(module_of(path), MAX_FUNCTION_LINES)
        assert length <= most or is_migration, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", sources("app", "worker", "clients"), ids=module_of)
def test_functions_take_five_parameters_at_most(path: Path) -> None:
    if path.is_relative_to(COMMANDS):
        return
    for function in functions(path):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = len([argument for argument in named if argument.arg not in ("self", "cls")])
        assert count <= MAX_PARAMETERS, f"{function.name} takes {count} parameters"


def packages() -> list[Path]:
    """Every folder with modules of the program."""
    return sorted({path.parent for path in sources("app", "worker", "clients")})


# Models have one module for each group of tables, and their package is one namespace of tables.
LARGER_PACKAGES = ("app.models",)


@pytest.mark.parametrize("package", packages(), ids=module_of)
def test_packages_hold_twelve_modules_at_most(package: Path) -> None:
    modules = [path.stem for path in package.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MAX_MODULES or module_of(package) in LARGER_PACKAGES, modules


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    return [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_every_module_has_a_docstring() -> None:
    for path in sources("app", "worker", "devtools", "demo", "clients"):
        assert not path.read_text().strip() or ast.get_docstring(tree(path)), path


def test_no_two_public_classes_of_a_package_share_a_name() -> None:
    packages: dict[str, dict[str, Path]] = {}
    for path in sources("app", "worker", "clients"):
        package = module_of(path.parent / "__init__.py")
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                other = packages.setdefault(package, {}).setdefault(node.name, path)
                assert other == path, f"{node.name} is in {other} and in {path}"


def test_no_file_suppresses_the_formatter() -> None:
    marker, table = "# fmt" + ":", "senders.py"  # a table with one line for each service
    files = sources(*FOLDERS)
    assert [path.name for path in files if marker in path.read_text()] == [table]
