"""The systemd units in deploy/systemd are hardened; systemd rates them if it is installed."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
EXPOSURE = 2.0  # of 10, as systemd-analyze rates it; below 2 it says "OK"


def service(unit: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser documents it
    parser.read_string(unit.read_text())
    return dict(parser["Service"])


def test_each_process_has_a_unit() -> None:
    processes = re.findall(r"^(\w+):", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert {unit.stem.removeprefix("mailwatch-") for unit in UNITS} == set(processes)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_gains_no_privileges_and_writes_only_its_data(unit: Path) -> None:
    options = service(unit)
    assert options["NoNewPrivileges"] == options["PrivateTmp"] == options["ProtectHome"] == "yes"
    assert options["ProtectSystem"] == "strict"
    assert options["CapabilityBoundingSet"] == ""
    assert options["RestrictAddressFamilies"] == "AF_INET AF_INET6 AF_UNIX"
    assert re.fullmatch(r"\d+[MG]", options["MemoryMax"])
    assert options["UMask"] == "0077"
    assert options["User"] == "mailwatch"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_runs_the_command_of_the_procfile(unit: Path) -> None:
    name = unit.stem.removeprefix("mailwatch-")
    match = re.search(rf"^{name}: (.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert match is not None
    assert service(unit)["ExecStart"].removeprefix("/opt/mailwatch/.venv/bin/") == match[1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_rates_the_exposure_of_a_unit_as_low(unit: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: it rates the units where systemd is")
    limit = str(round(EXPOSURE * 10))
    command = [program, "security", "--offline=true", f"--threshold={limit}", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True)
    if "unrecognized option" in result.stderr or "Unknown" in result.stderr:
        pytest.skip("this systemd-analyze is too old for --offline")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
