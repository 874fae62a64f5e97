"""The fixes of all zones of the tests and of the demo are sound, alone and one after another."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.checks.engine.types import Fix, Subject
from app.ports.network import NetworkSession
from app.protocols.names import DomainName
from tests.support import dns_cases, fixed_zones, reference_zones
from tests.support.paths import ROOT
from tests.support.zones import Zone, read_master_files

MAX_FIXES = 40  # of one domain, one after another
DEMO = ROOT / "demo" / "zones"


class Situation(NamedTuple):
    """A domain with its records, and the network that answers from other records."""

    subject: Subject
    records: Mapping[Any, Any]
    zone: Callable[[Mapping[Any, Any]], NetworkSession]


def situations() -> Mapping[str, Callable[[], Situation]]:
    """The domains of all zones by name; each is read when its test begins."""
    names = {f"case-{case.id}": _case(case) for case in dns_cases.cases()}
    names |= {f"zone-{domain}": _reference(domain) for domain in reference_zones.EXPECTED}
    return names | {f"demo-{path.stem}": _demo(path) for path in sorted(DEMO.glob("*.*.zone"))}


def _case(case: dns_cases.Case) -> Callable[[], Situation]:
    return lambda: Situation(case.subject, case.records, case.zone)


def _reference(domain: str) -> Callable[[], Situation]:
    def read() -> Situation:
        pages = reference_zones.pages()
        return Situation(
            reference_zones.subject(domain),
            reference_zones.records(),
            lambda records: reference_zones.zone(domain, records, pages),
        )

    return read


def _demo(path: Path) -> Callable[[], Situation]:
    def read() -> Situation:
        records: Mapping[Any, Any] = read_master_files(*sorted(DEMO.glob("*.zone")))
        return Situation(Subject(DomainName(path.stem)), records, Zone)

    return read


SITUATIONS = situations()


@pytest.mark.parametrize("name", SITUATIONS)
async def test_every_fix_alone_makes_the_domain_better(name: str) -> None:
    subject, records, zone = SITUATIONS[name]()
    before = await fixed_zones.scan(subject, zone(records))
    for finding in fixed_zones.findings(before).values():
        if finding.fix is not None:
            after = await fixed_zones.scan(
                subject, zone(fixed_zones.published(records, finding.fix))
            )
            assert fixed_zones.problems(before, after, finding) == [], finding.fix


@pytest.mark.parametrize("name", SITUATIONS)
async def test_fixes_one_after_another_come_to_an_end(name: str) -> None:
    subject, records, zone = SITUATIONS[name]()
    applied: list[Fix] = []
    solved: set[tuple[str, str]] = set()
    while True:
        current = fixed_zones.findings(await fixed_zones.scan(subject, zone(records)))
        assert not solved & current.keys(), applied
        fixes = [(key, item.fix) for key, item in current.items() if item.fix is not None]
        if not fixes:
            break
        key, fix = fixes[0]
        solved.add(key)
        applied.append(fix)
        records = fixed_zones.published(records, fix)
        assert len(applied) < MAX_FIXES, applied
