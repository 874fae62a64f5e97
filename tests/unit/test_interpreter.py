"""Refused Python versions, and warnings about outdated ones."""

import logging
import subprocess
import sys
from pyexpat import version_info as expat_version

import pytest

from app import interpreter

ZIP, XML = "CVE-2024-0450", "CVE-2023-52425"


@pytest.mark.parametrize(
    ("python", "expat", "ids"),
    [
        ((3, 11, 2), (2, 5, 0), [ZIP, XML]),
        ((3, 11, 7), (2, 5, 0), [ZIP, XML]),
        ((3, 11, 8), (2, 5, 0), [XML]),
        ((3, 11, 8), (2, 6, 0), []),
        ((3, 12, 1), (2, 6, 0), [ZIP]),
        ((3, 12, 2), (2, 6, 2), []),
        ((3, 13, 0), (2, 5, 0), [XML]),
        ((3, 13, 0), (2, 6, 0), []),
    ],
)
def test_interpreter_without_fix_has_open_advisory(
    python: tuple[int, int, int], expat: tuple[int, int, int], ids: list[str]
) -> None:
    assert [advisory.id for advisory in interpreter.open_advisories(python, expat)] == ids


def test_warning_names_every_open_advisory(caplog: pytest.LogCaptureFixture) -> None:
    advisories = interpreter.open_advisories(sys.version_info[:3], expat_version)
    with caplog.at_level(logging.WARNING):
        interpreter.warn_if_outdated()
    assert len(caplog.records) == bool(advisories)
    for record in caplog.records:
        for advisory in advisories:
            assert advisory.id in str(vars(record)["advisories"])


@pytest.mark.parametrize("module", ["app.settings", "wsgi", "worker.__main__", "worker.clock"])
def test_older_python_is_refused_before_other_imports(module: str) -> None:
    code = f"import sys; sys.version_info = (3, 10, 14, 'final', 0); import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is required; this is Python ")
