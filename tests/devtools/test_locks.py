"""The lock files have all requirements with hashes, and other hashes are refused."""

import hashlib
import re
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from devtools import ROOT, environment, supply

WHEEL = "probe-1.0-py3-none-any.whl"


def locked(name: str) -> dict[tuple[str, str], list[str]]:
    """By package and marker: its version and the hashes of its files."""
    text = re.sub(r"(?m)^ *#.*\n", "", (ROOT / name).read_text()).replace("\\\n", " ")
    entries = {}
    for line in text.splitlines():
        requirement, *hashes = line.split("--hash=")
        pin = re.fullmatch(r"([a-z0-9.-]+)(\[[a-z,]+\])?==(\S+)( ; .+)?", requirement.strip())
        assert pin, f"{name} must pin exact versions only: {line[:100]}"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", item) for item in hashes), line[:100]
        entries[pin[1], pin[4] or ""] = [pin[3], *hashes]
    return entries


@pytest.mark.parametrize("name", supply.LOCKS)
def test_a_lock_has_hashes_for_every_package_and_names_no_index(name: str) -> None:
    entries = locked(name)
    assert entries
    assert all(len(entry) > 1 for entry in entries.values())


def test_every_requirements_file_has_a_lock() -> None:
    sources = {path.with_suffix(".txt").name for path in ROOT.glob("requirements*.in")}
    assert sources == set(supply.LOCKS) == {path.name for path in ROOT.glob("requirements*.txt")}


@pytest.mark.parametrize("name", supply.LOCKS)
def test_a_lock_is_compiled_from_its_source(name: str) -> None:
    versions = {package: entry[0] for (package, _), entry in locked(name).items()}
    for line in (ROOT / name.replace(".txt", ".in")).read_text().splitlines():
        if line and line[0] not in "#-":
            package, version = line.split("==")
            assert versions[package.partition("[")[0].lower()] == version, "run ./dev lock"


@pytest.mark.parametrize("name", supply.SUBSETS)
def test_deployed_packages_are_the_tested_ones(name: str) -> None:
    assert locked(name).items() <= locked(environment.DEVELOPMENT).items()


def _make_wheel(directory: Path) -> str:
    """A wheel that installs one empty module; its SHA-256."""
    with zipfile.ZipFile(directory / WHEEL, "w") as wheel:
        info = "probe-1.0.dist-info"
        wheel.writestr("probe.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"probe.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return hashlib.sha256((directory / WHEEL).read_bytes()).hexdigest()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_file_with_another_hash_is_not_installed(tmp_path: Path, installer: str) -> None:
    venv, lock = tmp_path / "venv", tmp_path / "lock.txt"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    if installer == "uv" and not Path(environment.program("uv")).exists():
        pytest.skip("the environment was made with pip")
    command = {"pip": environment._pip, "uv": environment._uv}[installer](venv / "bin" / "python")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    offline |= {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(tmp_path), "UV_NO_CACHE": "1"}
    digest = _make_wheel(tmp_path)
    for pin, is_refused in (
        ("probe==1.0", True),
        (f"probe==1.0 --hash=sha256:{'0' * 64}", True),
        (f"probe==1.0 --hash=sha256:{digest}", False),
    ):
        lock.write_text(pin + "\n")
        done = subprocess.run(
            [*command, str(lock)], env={**environment.variables(), **offline}, capture_output=True
        )
        assert (done.returncode != 0) == is_refused, done.stderr


def test_audit_distinguishes_vulnerable_from_unknown_packages() -> None:
    report = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {
                "name": "bad",
                "version": "2",
                "vulns": [
                    {"id": "PYSEC-2026-1", "fix_versions": ["2.1", "3.0"]},
                    {"id": "PYSEC-2026-2", "fix_versions": []},
                ],
            },
            {"name": "private", "skip_reason": "not in the database"},
        ]
    }
    vulnerable, skipped = supply.findings(report)
    assert vulnerable == [
        "bad 2: PYSEC-2026-1; fixed in 2.1, 3.0",
        "bad 2: PYSEC-2026-2; fixed in no version yet",
    ]
    assert skipped == ["private was not checked: not in the database"]


def test_bill_of_materials_lists_direct_requirements_and_scripts() -> None:
    names = supply._required("requirements.in")
    bom = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": name, "bom-ref": f"{name}==1"} for name in names],
        "dependencies": [{"ref": "root"}, *({"ref": f"{name}==1"} for name in names)],
    }
    completed = supply.completed(bom)
    refs = {component["bom-ref"] for component in completed["components"]}
    assert len(refs) == len(names) + 1
    assert {entry["ref"] for entry in completed["dependencies"]} == refs | {"root"}
    assert set(completed["dependencies"][0]["dependsOn"]) == refs
    (script,) = (c for c in completed["components"] if c["name"] == "htmx")
    assert script["purl"].startswith("pkg:npm/htmx@")
    assert re.fullmatch("[0-9a-f]{64}", script["hashes"][0]["content"])


def test_each_lock_includes_the_smaller_lock() -> None:
    """``./dev demo`` needs the Valkey server of ``./dev run``, and the tests need both."""
    packages = [
        set(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", (ROOT / name).read_text(), re.M))
        for name in (
            "requirements.txt",
            environment.LOCAL,
            environment.DEMO,
            environment.DEVELOPMENT,
        )
    ]
    for smaller, larger in pairwise(packages):
        assert smaller <= larger
