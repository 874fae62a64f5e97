"""The folders of unit tests mirror the packages that they test."""

from pathlib import Path

import pytest

from tests.architecture.source_tree import module_imports, modules
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "unit" / "protocols"
FILES = sorted(FOLDER.rglob("test_*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_is_in_the_folder_of_the_package_that_it_tests(path: Path) -> None:
    folder = path.relative_to(FOLDER).parts[:-1]
    package = ".".join(("app", "protocols", *folder))
    assert package in modules()
    imported = {name for name in module_imports(path) if name.startswith("app.protocols.")}
    assert any(name == package or name.startswith(f"{package}.") for name in imported)
    if not folder:
        assert len({name.split(".")[2] for name in imported}) > 1 or not is_package(imported)


def is_package(names: set[str]) -> bool:
    """Whether all names are those of a package in ``app.protocols`` or of its modules."""
    return all((ROOT / "app" / "protocols" / name.split(".")[2]).is_dir() for name in names)
