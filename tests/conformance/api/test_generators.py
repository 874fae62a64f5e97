"""Outside tools read the OpenAPI document: linters, and generators of clients."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from app.api.docs import openapi
from tests.support import generated_client, npm

# Spectral has a rule for OpenAPI 3.0, where only OAuth could have scopes; 3.1 allows them.
SPECTRAL = {"extends": ["spectral:oas"], "rules": {"oas3-operation-security-defined": "off"}}
TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "target": "ES2022",
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "lib": ["ES2022", "DOM", "DOM.Iterable"],
        "types": [],
    },
    "include": ["client/**/*.ts"],
}


@pytest.fixture
def document(app: Flask, tmp_path: Path) -> Path:
    """The document as a file."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(openapi.document(app)))
    return path


def test_redocly_finds_no_error(document: Path) -> None:
    result = npm.run("redocly", "lint", document.name, directory=document.parent)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "Your API description is valid" in output, output


def test_spectral_finds_nothing(document: Path) -> None:
    (document.parent / "rules.json").write_text(json.dumps(SPECTRAL))
    options = ("lint", document.name, "-r", "rules.json", "--fail-severity", "warn")
    result = npm.run("spectral", *options, directory=document.parent)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_generated_typescript_client_is_correct(document: Path) -> None:
    directory = document.parent
    generated = npm.run("openapi-ts", "-i", document.name, "-o", "client", directory=directory)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    assert "domainsList" in (directory / "client" / "sdk.gen.ts").read_text()
    (directory / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    result = npm.run("tsc", "-p", "tsconfig.json", directory=directory)
    assert result.returncode == 0, result.stdout


def test_a_generated_python_client_is_typed(document: Path) -> None:
    client = generated_client.generate(document)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(client / "cache"),
            "mailwatch_client",
        ],
        cwd=client,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    for model in ("domain_list", "readiness", "policy_step", "scan_response", "alert_event"):
        assert (client / "mailwatch_client" / "models" / f"{model}.py").exists(), model
