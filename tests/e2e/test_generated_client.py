"""A client that is generated from the served document works without changes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.service import Service
from tests.support import generated_client
from tests.support.factories import make_account, make_key
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "api" / "README.md"


def script() -> str:
    """The script in the section about generated clients."""
    section = PAGE.read_text().partition("## Generated clients")[2]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code  # type: ignore[no-any-return]


def test_documented_script_runs_with_a_generated_client(service: Service, tmp_path: Path) -> None:
    token = make_key(make_account().id)[1]
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(service.call("GET", "/openapi.json").json))
    package = generated_client.generate(document)
    environment = {
        **os.environ,
        "API": f"http://127.0.0.1:{service.port}",
        "KEY": token,
        "DOMAIN": "d1.test",
        "PYTHONPATH": str(package),
    }
    result = subprocess.run(
        [sys.executable, "-c", script()], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    first, *alerts, last = result.stdout.splitlines()
    assert re.fullmatch(r"completed \d+", first)
    assert len(alerts) > 2, "more than one page"
    assert any("spf.multiple_records" in line for line in alerts)
    listed = service.call("GET", "/v1/alerts?domain=d1.test&limit=100", token).json["data"]
    assert len(alerts) == len(listed)
    assert last == "not_found 404"
