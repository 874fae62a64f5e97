"""Many scans at once with BIND as the resolver, which answers SERVFAIL above 1,000 queries."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import Subject, Verdict
from app.network.session import LiveNetwork
from app.ports.network import SessionFactory
from app.protocols.names import DomainName
from app.settings import Settings
from demo.nameserver import NameServer
from tests.support import bind, reference_zones
from tests.support.reference_zones import EXPECTED

RUNS = 7
JOBS = 4  # with 64 scans each
DOMAINS = 64
DELAY = 0.25  # seconds until an answer, so that the queries of all scans wait in BIND
GENERATED = DOMAINS - len(EXPECTED)

Verdicts = Mapping[tuple[str, str], Verdict]

pytestmark = pytest.mark.skipif(
    bind.NAMED is None, reason="BIND is not installed (apt-get install bind9)"
)


def subjects() -> dict[str, Subject]:
    """The domains of tests/data/zones, and generated ones."""
    names = [bind.generated_domain(number) for number in range(GENERATED)]
    generated = {name: Subject(DomainName(name)) for name in names}
    return {domain: reference_zones.subject(domain) for domain in EXPECTED} | generated


def scan(address: tuple[str, int], job: int = 0) -> Verdicts:
    """The verdicts of all domains, scanned at once."""
    settings = Settings(
        secret_key="k" * 40,
        database_url="sqlite://",
        redis_url="redis://127.0.0.1:1/0",
        dns_nameservers=(address,),
        dns_query_seconds=15,  # a slow machine must not cause timeouts
        check_authoritative_servers=False,
    )

    async def main(new_session: SessionFactory) -> dict[str, ScanResult]:
        return await run_checks(subjects(), new_session, concurrency=DOMAINS, seconds=300)

    results = LiveNetwork(settings).run(main)
    return {
        (domain, result.check): result.verdict
        for domain, scanned in results.items()
        for result in scanned.check_results
    }


def scan_with_new_resolver(upstream: NameServer, jobs: int = 1) -> list[Verdicts]:
    """The verdicts of each of these jobs, which scan all domains at the same time."""
    with bind.serving(upstream) as address, ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(partial(scan, address), range(jobs)))


def undetermined(verdicts: Verdicts) -> set[tuple[str, str]]:
    """The checks of domains that BIND cannot tell."""
    return {key for key, verdict in verdicts.items() if verdict is Verdict.UNDETERMINED}


def test_64_scans_at_once_have_the_same_verdicts_in_seven_runs() -> None:
    with bind.zones(GENERATED, DELAY) as upstream:
        runs = [scan_with_new_resolver(upstream)[0] for _ in range(RUNS)]
    assert len(runs[0]) >= DOMAINS
    for run in runs:
        assert run == runs[0]
    # SERVFAIL is the answer for down.test, and nothing is validated here
    assert {domain for domain, _ in undetermined(runs[0])} <= {"down.test", "signed.test"}


def test_jobs_that_overload_the_resolver_together_have_the_verdicts_of_one() -> None:
    with bind.zones(GENERATED, DELAY) as upstream:
        (alone,) = scan_with_new_resolver(upstream)
        together = scan_with_new_resolver(upstream, JOBS)
    for verdicts in together:
        assert verdicts == alone
