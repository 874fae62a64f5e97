"""No process starts with an invalid PROFILES_FILE."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

INVALID = """
[[profiles]]
id = "House"
name = "House rules"
description = "What our security team requires."
source = "https://intranet.example/email"
source_date = "2026-03"

[[profiles.clauses]]
id = "reject"
text = "The DMARC policy is reject."
facts = [{ fact = "dmarc.effective_policy", one_of = ["reject"] }]
remediation = "Raise the policy."
"""


@pytest.mark.parametrize("command", [["-c", "import wsgi"], ["-m", "worker", "scans"]])
def test_process_refuses_an_invalid_file_when_it_starts(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(INVALID)
    environment = {
        **os.environ,
        "SECRET_KEY": "k" * 40,
        "DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PROFILES_FILE": str(path),
    }
    process = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode != 0
    assert "PROFILES_FILE: profiles.toml: profile House: id: must be" in process.stderr
