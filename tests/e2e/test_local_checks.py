"""The installed command ``mailwatch check --local``, without a service."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from app.checks.engine import stored_results
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import Subject
from app.network.session import LiveNetwork
from app.ports.network import SessionFactory
from app.protocols.names import DomainName
from app.settings import Settings
from demo.fault_injection import Behavior
from demo.nameserver import NameServer
from tests.support import client_wheels
from tests.support.reference_zones import EXPECTED, FOLDER, SIGNED

pytestmark = pytest.mark.e2e

# Without the domain whose name servers never answer.
DOMAINS = [domain for domain in EXPECTED if domain != "down.test"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with both wheels."""
    directory = tmp_path_factory.mktemp("wheels")
    wheels = [client_wheels.build(package, directory) for package in ("python", "checks")]
    return client_wheels.install(wheels, directory / "environment", extras="[local]")


@pytest.fixture(scope="module")
def nameserver() -> Iterator[NameServer]:
    with NameServer(FOLDER, Behavior(signed=SIGNED)) as server:
        yield server


@pytest.fixture
def run(programs: Path, nameserver: NameServer, tmp_path: Path) -> Run:
    """Runs ``mailwatch check --local`` with the name server, without the code of the service."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        address = f"{nameserver.address}:{nameserver.port}"
        return subprocess.run(
            [programs / "mailwatch", "check", "--local", "--nameserver", address, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def comparable(checks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the verdicts, findings and facts by check.

    The name server answers in a random order, so lists are sorted. ``policy_since`` is a time.
    """
    return {
        check["check"]: {
            "verdict": check["verdict"],
            "definite": check["definite"],
            "findings": sorted(
                (finding["code"], finding["severity"], finding["subject"])
                for finding in check["findings"]
            ),
            "facts": {
                name: without_order(value)
                for name, value in check["facts"].items()
                if name != "policy_since"
            },
        }
        for check in checks
    }


def without_order(value: Any) -> Any:
    """Return the JSON value with its lists sorted."""
    if isinstance(value, Mapping):
        return {name: without_order(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return sorted(map(without_order, value), key=repr)
    return value


def results_of_the_service(nameserver: NameServer) -> dict[str, dict[str, Any]]:
    """Return the results of a first scan of each domain by the service."""
    subjects = {domain: Subject(DomainName(domain), now=datetime.now(UTC)) for domain in DOMAINS}

    async def main(new_session: SessionFactory) -> dict[str, ScanResult]:
        return await run_checks(subjects, new_session, concurrency=2, seconds=60)

    settings = Settings(
        secret_key="k" * 40,
        database_url="sqlite://",
        redis_url="redis://127.0.0.1:1/0",
        dns_nameservers=((nameserver.address, nameserver.port),),
    )
    return {
        domain: comparable(map(stored_results.as_json, result.check_results))
        for domain, result in LiveNetwork(settings).run(main).items()
    }


def test_local_checks_have_the_results_of_the_service(run: Run, nameserver: NameServer) -> None:
    result = run(*DOMAINS, "--json", "--allow-undetermined")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert [item["domainName"] for item in printed] == DOMAINS
    expected = results_of_the_service(nameserver)
    differing, count = [], 0
    for item in printed:
        for name, check in comparable(item["checks"]).items():
            of_service = expected[item["domainName"]][name]
            if check["definite"] and of_service["definite"]:  # no lookup failed
                count += 1
                if check != of_service:
                    differing.append((check, of_service))
    assert differing == []
    assert count > len(DOMAINS)


def test_formats_and_exit_status_are_those_of_scans(run: Run, tmp_path: Path) -> None:
    table = run("twodmarc.test", "--allow-undetermined")
    assert table.returncode == 0, table.stderr
    assert "dmarc.multiple_records" in table.stdout
    assert run("twodmarc.test", "--fail-on", "high").returncode == 1
    assert (
        run("twodmarc.test", "--junit", "--output", "d1.xml", "--fail-on", "high").returncode == 1
    )
    [suite] = JUnitXml.fromfile(str(tmp_path / "d1.xml"))
    assert suite.failures > 0
    [log] = json.loads(run("twodmarc.test", "--sarif").stdout)["runs"]
    assert "dmarc.multiple_records" in {item["ruleId"] for item in log["results"]}


def test_failed_lookups_are_undetermined_and_have_no_score(run: Run) -> None:
    result = run("down.test", "--json")
    assert result.returncode == 4, result.stderr
    [item] = json.loads(result.stdout)
    assert item["score"]["value"] is None
    verdicts = {check["check"]: check["verdict"] for check in item["checks"]}
    assert {verdicts["spf"], verdicts["dmarc"], verdicts["mx"]} == {"undetermined"}
    table = run("down.test")
    assert "/100" not in table.stdout
    assert "No problems found" not in table.stdout


@pytest.mark.parametrize(
    "arguments", [["co.uk"], ["not a domain"], ["twodmarc.test", "--nameserver", "ns1.test"]]
)
def test_names_that_cannot_be_used_are_refused(run: Run, arguments: Sequence[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
