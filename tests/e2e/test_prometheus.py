"""A real Prometheus scrapes the service, and evaluates our alert rules and panels."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.services.ingest import files
from devtools.processes import end_with_parent, free_port
from tests.e2e.service import METRICS_TOKEN, Service, wait_for
from tests.support.factories import make_account, make_key
from tests.support.metric_samples import Samples, parsed
from tests.support.paths import ROOT
from tests.support.report_documents import dmarc_xml

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
CONFIGURATION = """
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: mailwatch
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

pytestmark = pytest.mark.e2e
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None,
    reason="Prometheus is not installed (apt-get install prometheus)",
)


def panel_queries() -> dict[str, str]:
    """The queries of the dashboard by panel and number, with the interval of this test."""
    dashboard = json.loads(DASHBOARD.read_text())
    return {
        f"{panel['title']} {number}": target["expr"].replace("$__rate_interval", "30s")
        for panel in dashboard["panels"]
        for number, target in enumerate(panel["targets"], 1)
    }


def rule_queries() -> str:
    """The text of the rules without comments."""
    return re.sub(r"#.*", "", RULES.read_text())


def used(text: str) -> set[str]:
    """The names of our metrics in queries, without their prefix."""
    return set(re.findall(r"\bmailwatch_([a-z_]+)", text))


@pytest.fixture
def active(service: Service) -> Service:
    """The service, after a scan and a report."""
    account_id: UUID = make_account().id
    token = make_key(account_id, rate_limit="1000000 per minute")[1]
    assert service.call("POST", "/v1/domains", token, {"name": "d0.test"}).status == 201
    path = service.call("POST", "/v1/domains/d0.test/scans", token).headers["Location"]
    files.store(account_id, dmarc_xml("d0.test"), received_via="http")
    wait_for(
        lambda: bool(service.call("GET", path, token).json["data"]["status"] == "completed"),
        "the scan",
    )
    wait_for(lambda: bool(service.call("GET", "/v1/reports/dmarc", token).json["data"]), "a report")
    service.call("GET", "/v1/reports/analytics/readiness?domain=d0.test", token)  # its figures
    return service


def scrape(service: Service) -> Samples:
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}/metrics")
    request.add_header("Authorization", f"Bearer {METRICS_TOKEN}")
    with urllib.request.urlopen(request, timeout=30) as response:
        return parsed(response.read().decode())


@pytest.fixture
def prometheus(active: Service, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes the service."""
    assert PROMETHEUS is not None
    configuration = tmp_path / "prometheus.yml"
    text = CONFIGURATION.format(rules=RULES, token=METRICS_TOKEN, port=active.port)
    configuration.write_text(text)
    address = f"127.0.0.1:{free_port(0)}"
    options = {
        "config.file": configuration,
        "storage.tsdb.path": tmp_path / "data",
        "web.listen-address": address,
    }
    command = [PROMETHEUS, *(f"--{name}={value}" for name, value in options.items())]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=end_with_parent)
    try:
        wait_for(lambda: len(points(address, 'up{job="mailwatch"} == 1')) == 1, "a scrape")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def answer(address: str, path: str, **parameters: str) -> Any:
    """The data in an answer of Prometheus; None while it does not answer."""
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            content = json.loads(response.read())
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError) and error.code != 503:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        return None
    assert content["status"] == "success", content
    return content["data"]


def points(address: str, query: str) -> list[Any]:
    """The result of an instant query."""
    data = answer(address, "query", query=query)
    return data["result"] if data else []


def test_rules_and_panels_use_only_metrics_of_a_scrape(active: Service) -> None:
    existing = set(scrape(active))
    queries = rule_queries() + "\n".join(panel_queries().values())
    assert used(queries) <= existing, used(queries) - existing
    unused = {name for name in existing if not name.endswith(("_sum", "_count"))} - used(queries)
    assert unused == set()


@needs_prometheus
def test_promtool_accepts_the_rules_and_the_scrape_configuration() -> None:
    assert PROMTOOL is not None
    for kind, path in (("rules", RULES), ("config", RULES.with_name("prometheus.yaml"))):
        syntax = ["--syntax-only"] if kind == "config" else []
        command = [PROMTOOL, "check", kind, *syntax, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=RULES.parent)
        assert result.returncode == 0, result.stdout + result.stderr


@needs_prometheus
def test_rules_fire_as_their_tests_say() -> None:
    assert PROMTOOL is not None
    tests = ROOT / "tests" / "data" / "prometheus" / "alerts_test.yaml"
    command = [PROMTOOL, "test", "rules", str(tests)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@needs_prometheus
def test_prometheus_evaluates_every_rule_and_every_panel_has_data(prometheus: str) -> None:
    wait_for(lambda: len(points(prometheus, "mailwatch_build_info[30s]")) > 0, "samples")
    time.sleep(3)  # rates need several scrapes
    without_data = [
        name for name, query in panel_queries().items() if not points(prometheus, query)
    ]
    assert without_data == []
    groups = answer(prometheus, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == RULES.read_text().count("- alert:")
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    assert firing == set()
