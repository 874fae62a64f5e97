"""Tools from npm, in a folder of .dev that all worktrees and runs keep."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / ".dev" / "npm"
PACKAGES = {
    "@hey-api/openapi-ts": "0.95.0",
    "@redocly/cli": "2.77.0",
    "@stoplight/spectral-cli": "6.16.3",
    "typescript": "5.9.3",
}
SECONDS = 300


def run(tool: str, *arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run a tool; the test is skipped if there is no node, or if it cannot be installed."""
    program = _installed() / "node_modules" / ".bin" / tool
    return subprocess.run(
        [str(program), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
    )


def _installed() -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes wait
        manifest, text = FOLDER / "package.json", json.dumps({"dependencies": PACKAGES})
        if not manifest.exists() or manifest.read_text() != text:
            _install(npm, text)
            manifest.write_text(text)
    return FOLDER


def _install(npm: str, text: str) -> None:
    (FOLDER / "package.json").write_text(text)
    command: Sequence[str] = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        result = subprocess.run(
            command, cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        result = None
    if result is None or result.returncode != 0:
        (FOLDER / "package.json").unlink()
        reason = result.stderr.strip().splitlines()[-1:] if result else "the time is over"
        pytest.skip(f"npm cannot install the tools: {reason}")
