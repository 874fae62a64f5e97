"""The installed command ``mailwatch`` against a real service."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import jsonschema
import pytest
from junitparser import JUnitXml

from app.services.api_keys import upload_tokens
from app.services.ingest import tokens
from tests.e2e.service import Service, wait_for
from tests.support import client_wheels
from tests.support.factories import ACTOR, make_account, make_key
from tests.support.paths import DATA, ROOT
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.e2e

README = ROOT / "clients" / "python" / "README.md"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
DRAFT = """$TTL 300
@ IN NS ns1.test.
@ IN NS ns2.test.
@ IN MX 10 mx.test.
@ IN TXT "v=spf1 mx -all"
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel of the client."""
    directory = tmp_path_factory.mktemp("wheels")
    wheel = client_wheels.build("python", directory)
    return client_wheels.install([wheel], directory / "environment", extras="[cli]")


@pytest.fixture
def account_id() -> UUID:
    return make_account().id


@pytest.fixture
def run(service: Service, account_id: UUID, programs: Path, tmp_path: Path) -> Run:
    """Runs a line of a shell, in which ``mailwatch`` is the installed command."""
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "MAILWATCH_URL": f"http://127.0.0.1:{service.port}",
        "MAILWATCH_API_KEY": make_key(account_id, rate_limit="1000000 per minute")[1],
    }

    def run(line: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            line,
            shell=True,
            env={**variables, **changed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_commands_of_the_readme_have_the_documented_status(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d1.test.zone").write_text(DRAFT)
    [block] = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line.rpartition("  # ") for line in block.splitlines()]
    assert len(lines) > 10
    wrong = []
    for command, _, status in lines:
        result = run(command)
        if result.returncode != int(status):
            wrong.append((command, result.returncode, result.stdout, result.stderr))
    assert wrong == []
    schema = json.loads((DATA / "schemas" / "sarif-2.1.0.json").read_text())
    log = json.loads((tmp_path / "d1.sarif").read_text())
    jsonschema.Draft4Validator(schema).validate(log)
    assert "spf.multiple_records" in {item["ruleId"] for item in log["runs"][0]["results"]}
    [suite] = JUnitXml.fromfile(str(tmp_path / "report.xml"))
    assert suite.failures > 0
    assert (tmp_path / "alerts.csv").read_text().startswith('"id"')


def test_results_are_printed_for_people_and_programs(run: Run) -> None:
    assert run("mailwatch domains add d0.test").returncode == 0
    table = run("mailwatch check d0.test --allow-undetermined")
    assert "spf.multiple_records" in table.stdout
    [result] = json.loads(run("mailwatch check d0.test --json").stdout)
    assert result["domainName"] == "d0.test"
    [domain] = json.loads(run("mailwatch domains list --json").stdout)
    assert domain["name"] == "d0.test"
    alerts = json.loads(run("mailwatch alerts list --json").stdout)
    changed = run(f"mailwatch alerts set acknowledged {alerts[0]['id']} --note planned")
    assert "acknowledged" in changed.stdout
    records = [json.loads(line) for line in run("mailwatch export records").stdout.splitlines()]
    assert {"scan", "finding", "alert"} <= {record["kind"] for record in records}


def test_login_is_used_by_later_commands(run: Run, service: Service, account_id: UUID) -> None:
    _, token = make_key(account_id)
    url = f"http://127.0.0.1:{service.port}"
    none = {"MAILWATCH_URL": "", "MAILWATCH_API_KEY": ""}
    assert run("mailwatch whoami", **none).returncode == 3
    stored = run(f"echo {token} | mailwatch login --url {url} --key -", **none)
    assert stored.returncode == 0, stored.stderr
    assert "Key: test" in run("mailwatch whoami", **none).stdout
    assert run("mailwatch logout", **none).returncode == 0
    assert run("mailwatch whoami", **none).returncode == 3


def test_reports_are_uploaded_without_an_api_key(
    run: Run, service: Service, account_id: UUID, tmp_path: Path
) -> None:
    run("mailwatch domains add d0.test")
    (tmp_path / "report.xml").write_bytes(dmarc_xml("d0.test"))
    variables = {
        "MAILWATCH_REPORT_ADDRESS": tokens.create(account_id, actor=ACTOR).token,
        "MAILWATCH_UPLOAD_TOKEN": upload_tokens.issue(account_id, "ci", actor=ACTOR)[1],
        "MAILWATCH_API_KEY": "",
    }
    result = run("mailwatch reports upload report.xml", **variables)
    assert result.returncode == 0, result.stderr
    assert "received" in result.stdout
    wait_for(
        lambda: (
            '"provenance":"token"' in run("mailwatch export dmarc-reports").stdout.replace(" ", "")
        ),
        "the worker",
    )


def test_service_that_cannot_be_reached_is_undetermined(run: Run) -> None:
    result = run("mailwatch whoami", MAILWATCH_URL="http://127.0.0.1:1")
    assert result.returncode == 4
    assert "could not be reached" in result.stderr
    assert run("mailwatch whoami", MAILWATCH_API_KEY="mp_wrong").returncode == 3
