"""The zones of tests/data/zones have the results in its expected.yaml.

They are checked once from a dictionary, and once as in production: with a name server and a policy
host on loopback. With ``ZONES_NAMESERVER=127.0.0.1:5300`` the name server is the one of serve.sh.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from app.checks import CHECKS
from app.checks.engine.execution import run_check
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import CheckResult, Verdict
from app.network.session import LiveNetwork
from app.ports.http import Page
from app.ports.network import SessionFactory
from app.settings import Settings
from demo.fault_injection import Behavior
from demo.nameserver import NameServer
from demo.policies import NETWORKS, PolicyServer
from tests.support import reference_zones
from tests.support.reference_zones import EXPECTED, FOLDER, POLICIES, SIGNED, subject

SELECTOR_NOTES = ("status", "accept", "why")
CASES = [
    pytest.param(domain, check, id=f"{domain}-{check}")
    for domain, entry in EXPECTED.items()
    for check in entry["checks"]
]


@pytest.fixture(scope="module")
def data() -> Mapping[Any, Any]:
    return reference_zones.records()


@pytest.fixture(scope="module")
def pages() -> Mapping[tuple[str, str], Page]:
    return reference_zones.pages()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, ScanResult]]:
    """The results of every domain, checked through real sockets."""
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    subjects = {domain: subject(domain) for domain in EXPECTED}

    async def main(new_session: SessionFactory) -> dict[str, ScanResult]:
        return await run_checks(subjects, new_session, concurrency=2, seconds=300)

    with (
        NameServer(FOLDER, Behavior(signed=SIGNED)) as names,
        PolicyServer(POLICIES) as policies,
        pytest.MonkeyPatch.context() as patch,
    ):
        policies.authority.write_bundle(bundle)
        patch.setenv("SSL_CERT_FILE", str(bundle))
        settings = Settings(
            secret_key="k" * 40,
            database_url="sqlite://",
            redis_url="redis://127.0.0.1:1/0",
            dns_query_seconds=60,  # a slow machine must not cause timeouts
            dns_nameservers=_nameservers(names),
            egress_allow_cidrs=NETWORKS,
            egress_proxy=f"http://{policies.address}:{policies.port}",
        )
        yield LiveNetwork(settings).run(main)


def _nameservers(names: NameServer) -> tuple[tuple[str, int], ...]:
    """The demo name server, or the one that serve.sh runs: NSD behind a validating BIND."""
    host, _, port = os.environ.get("ZONES_NAMESERVER", "").partition(":")
    return ((host, int(port)),) if host else ((names.address, names.port),)


@pytest.mark.parametrize(("domain", "check"), CASES)
async def test_zone_in_memory_has_expected_results(
    domain: str,
    check: str,
    data: Mapping[Any, Any],
    pages: Mapping[tuple[str, str], Page],
) -> None:
    zone = reference_zones.zone(domain, data, pages)
    [selected] = [candidate for candidate in CHECKS if candidate.name == check]
    _hold(EXPECTED[domain]["checks"][check], await run_check(selected, subject(domain), zone))


@pytest.mark.parametrize(("domain", "check"), CASES)
def test_zone_on_the_network_has_expected_results(
    domain: str, check: str, live: Mapping[str, ScanResult]
) -> None:
    [check_result] = [result for result in live[domain].check_results if result.check == check]
    _hold(EXPECTED[domain]["checks"][check], check_result)


def test_no_domain_exceeds_the_query_budget(
    live: Mapping[str, ScanResult],
) -> None:
    budget: Any = Settings.model_fields["scan_query_budget"].default
    assert [
        domain for domain, examination in live.items() if examination.query_count >= budget
    ] == []


def _hold(expected: Mapping[str, Any], check_result: CheckResult) -> None:
    """Assert that the verdict is an expected one and every expected fact is equal."""
    is_open = check_result.verdict is Verdict.UNDETERMINED
    status = "info" if is_open else check_result.verdict.value
    assert status in (expected["status"], *expected.get("accept", ())), check_result
    assert not (is_open and check_result.findings)
    for name, value in expected["facts"].items():
        if name == "selectors":
            _hold_selectors(value, check_result.facts[name])
        elif name != "policy_file":  # the file that the policy host serves
            accepted = (value, *expected.get("facts_accept", {}).get(name, ()))
            assert check_result.facts.get(name, "no such fact") in accepted, name


def _hold_selectors(expected: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    assert facts.keys() == expected.keys()
    for selector, expected_facts in expected.items():
        selector_facts = facts[selector]
        assert selector_facts["status"] in (
            expected_facts["status"],
            *expected_facts.get("accept", ()),
        ), selector
        named = {
            name: value for name, value in expected_facts.items() if name not in SELECTOR_NOTES
        }
        assert {name: selector_facts.get(name) for name in named} == named, selector
