"""A plan of the published zone has the same results as a scan: of each demo and reference zone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from app.checks.engine.draft_zones import Draft, EditedZone, ZoneDraft
from app.checks.engine.planned_resolver import PlannedResolver
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import CheckResult, Subject
from app.network.session import LiveNetwork
from app.ports.network import NetworkSession, SessionFactory
from app.protocols.names import DomainName
from app.protocols.zone_files import master_files
from app.settings import Settings
from demo.nameserver import NameServer
from demo.policies import NETWORKS, PolicyServer
from demo.samples import BEHAVIOR, DOMAINS, POLICIES, POLICY_FAULTS, ZONES
from tests.support import reference_zones
from tests.support.reference_zones import EXPECTED, FOLDER

PUBLISHED = [domain for domain in DOMAINS if (ZONES / f"{domain}.zone").exists()]
REFERENCES = [domain for domain in EXPECTED if (FOLDER / f"{domain}.zone").exists()]


def zone_draft(folder: Path, domain: str) -> Draft:
    return ZoneDraft(domain, master_files.parse((folder / f"{domain}.zone").read_text(), domain))


def without_times(result: ScanResult) -> list[CheckResult]:
    """The results without times, and without the TTLs that count down in caches."""
    return [
        replace(
            check,
            elapsed_ms=0,
            records=tuple(record._replace(ttl=0) for record in check.records),
        )
        for check in result.check_results
    ]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    """A network in which the demo's servers answer, with all of their faults."""
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    with (
        NameServer(ZONES, BEHAVIOR) as names,
        PolicyServer(POLICIES, POLICY_FAULTS) as policies,
        pytest.MonkeyPatch.context() as patch,
    ):
        policies.authority.write_bundle(bundle)
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield LiveNetwork(
            Settings(
                secret_key="k" * 40,
                database_url="sqlite://",
                redis_url="redis://127.0.0.1:1/0",
                dns_query_seconds=1,
                scan_query_budget=100_000,
                dns_nameservers=((names.address, names.port),),
                egress_allow_cidrs=NETWORKS,
                egress_proxy=f"http://{policies.address}:{policies.port}",
            )
        )


@pytest.mark.parametrize("domain", PUBLISHED)
def test_plan_of_a_demo_zone_equals_its_scan(live: LiveNetwork, domain: str) -> None:
    drafts = [zone_draft(ZONES, domain), EditedZone(domain, [])]
    subject = Subject(DomainName(domain))

    async def main(new_session: SessionFactory) -> list[list[CheckResult]]:
        planned = [lambda draft=draft: PlannedResolver(new_session(), draft) for draft in drafts]
        return [await results(subject, factory) for factory in (new_session, *planned)]

    scan, *plans = live.run(main)
    assert len(scan) > 10
    assert plans == [scan, scan]


@pytest.mark.parametrize("domain", REFERENCES)
async def test_plan_of_a_reference_zone_equals_its_scan(domain: str) -> None:
    data, pages = reference_zones.records(), reference_zones.pages()
    subject = reference_zones.subject(domain)
    draft = zone_draft(FOLDER, domain)

    def published() -> NetworkSession:
        return reference_zones.zone(domain, data, pages)

    scan = await results(subject, published)
    assert await results(subject, lambda: PlannedResolver(published(), draft)) == scan


async def results(subject: Subject, new_session: Callable[[], NetworkSession]) -> list[CheckResult]:
    scans: Mapping[int, ScanResult] = await run_checks(
        {0: subject}, new_session, concurrency=1, seconds=120
    )
    return without_times(scans[0])
