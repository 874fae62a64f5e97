"""The recipes of docs/ci.md run as they are written, with the installed command."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from tests.e2e.service import Service
from tests.support import client_wheels
from tests.support.factories import make_account, make_key
from tests.support.paths import DOCS, ROOT

pytestmark = pytest.mark.e2e

PAGE = (DOCS / "ci.md").read_text()
ACTION = ROOT / "clients" / "github-action" / "action.yml"
GITLAB = ROOT / "clients" / "gitlab" / "mailwatch.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
TODAY = """$TTL 300
@ IN NS ns1.test.
@ IN NS ns2.test.
@ IN MX 10 mx.test.
@ IN TXT "v=spf1 mx -all"
@ IN TXT "v=spf1 -all"
_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:d@d1.test"
"""
WORSE = TODAY.replace("_dmarc", "other")
Variables = dict[str, str]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel of the client."""
    directory = tmp_path_factory.mktemp("wheels")
    wheel = client_wheels.build("python", directory)
    return client_wheels.install([wheel], directory / "environment", extras="[cli]")


@pytest.fixture
def variables(service: Service, programs: Path, tmp_path: Path) -> Variables:
    """Those of a CI job; the account has two domains, and ``zones`` the draft of one."""
    token = make_key(make_account().id, rate_limit="1000000 per minute")[1]
    for name in ("d1.test", "d2.test"):
        service.call("POST", "/v1/domains", token, {"name": name, "schedule": "off"})
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "d1.test.zone").write_text(WORSE)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "MAILWATCH_URL": f"http://127.0.0.1:{service.port}",
        "MAILWATCH_API_KEY": token,
    }


def run(script: str, variables: Variables, directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        env=variables,
        cwd=directory,
        capture_output=True,
        text=True,
    )


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_draft_that_makes_something_worse_fails(variables: Variables, tmp_path: Path) -> None:
    plan, _ = blocks("sh")
    result = run(plan, variables, tmp_path)
    assert result.returncode == 1, result.stderr
    assert "dmarc.missing" in result.stdout
    (tmp_path / "zones" / "d1.test.zone").write_text(TODAY)
    result = run(f"{plan.strip()} --allow-undetermined", variables, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_nightly_check_writes_a_suite_for_each_domain(variables: Variables, tmp_path: Path) -> None:
    _, check = blocks("sh")
    assert run(check, variables, tmp_path).returncode == 1
    suites = list(JUnitXml.fromfile(str(tmp_path / "mailwatch.xml")))
    assert [suite.name for suite in suites] == ["d1.test", "d2.test"]
    assert all(suite.failures > 0 for suite in suites)


def test_steps_of_the_action_run(variables: Variables, tmp_path: Path) -> None:
    workflow = yaml.safe_load(blocks("yaml")[0])
    inputs = {
        **workflow["jobs"]["plan"]["steps"][1]["with"],
        "url": variables["MAILWATCH_URL"],
        "api-key": variables["MAILWATCH_API_KEY"],
    }
    action: Any = yaml.safe_load(ACTION.read_text())
    assert set(inputs) == set(action["inputs"])
    runner = {
        **{name: value for name, value in variables.items() if "MAILWATCH" not in name},
        "GITHUB_ACTION_PATH": str(ACTION.parent),
        "RUNNER_TEMP": str(tmp_path),
    }
    install, command = action["runs"]["steps"]
    result = run(install["run"], runner, tmp_path)
    assert result.returncode == 0, result.stderr
    values = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: inputs[match[1]], value)
        for name, value in command["env"].items()
    }
    result = run(command["run"], {**runner, **values}, tmp_path)
    assert result.returncode == 1, result.stderr
    assert "d1.test: worse" in result.stdout


def test_jobs_of_gitlab_run(variables: Variables, tmp_path: Path) -> None:
    jobs: Any = yaml.safe_load(GITLAB.read_text())
    job = {
        **variables,
        "MAILWATCH_CLIENT": (ROOT / "clients" / "python").as_uri(),
        "MAILWATCH_DOMAINS": "d1.test d2.test",
    }
    result = run("\n".join(jobs[".mailwatch"]["before_script"]), job, tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ("mailwatch-plan", "mailwatch-check"):
        result = run("\n".join(jobs[name]["script"]), job, tmp_path)
        assert result.returncode == 1, result.stderr
    assert len(list(JUnitXml.fromfile(str(tmp_path / "mailwatch.xml")))) == 2


def test_hook_of_pre_commit_fails_for_a_worse_draft(variables: Variables, tmp_path: Path) -> None:
    hooks, zones = tmp_path / "hooks", tmp_path / "zones"
    hooks.mkdir()
    (hooks / HOOKS.name).write_text(HOOKS.read_text())
    config: Any = yaml.safe_load(blocks("yaml")[1])
    config["repos"][0]["repo"] = str(hooks)
    (zones / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    commit = (
        "git init --quiet --initial-branch main && git add . && "
        "git -c user.name=t -c user.email=t@t.test commit --quiet -m t"
    )
    for directory in (hooks, zones):
        assert run(commit, variables, directory).returncode == 0
    variables = {**variables, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    command = f"{sys.executable} -m pre_commit run --all-files --verbose"
    result = run(command, variables, zones)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "d1.test: worse" in result.stdout


@pytest.mark.parametrize(
    ("schema", "file"),
    [("github-actions", ACTION), ("gitlab-ci", GITLAB), ("github-workflows", None)],
)
def test_files_follow_their_schemas(schema: str, file: Path | None, tmp_path: Path) -> None:
    if file is None:
        file = tmp_path / "workflow.yml"
        file.write_text(blocks("yaml")[0])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    result = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
