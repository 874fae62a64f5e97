"""The fixes of all zones of the tests and of the demo are sound, alone and one after another."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from app.checks.engine.types import Fix, Subject
from app.ports.network import NetworkSession
from app.protocols.names import DomainName
from tests.support import dns_cases, fixed_zones, reference_zones
from tests.support.paths import ROOT
from tests.support.zones import Zone, read_master_files

ORDERS = range(int(os.environ.get("FIX_ORDERS", "3")))  # the first is that of the findings
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


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SITUATIONS)
async def test_fixes_one_after_another_in_any_order_come_to_an_end(name: str, order: int) -> None:
    subject, records, zone = SITUATIONS[name]()
    random = Random(f"{name} {order}")
    applied: list[Fix] = []
    solved: set[tuple[str, str]] = set()
    before = previous = await fixed_zones.scan(subject, zone(records))
    while True:
        current = fixed_zones.findings(previous)
        assert not solved & current.keys(), applied
        fixes = [(key, item) for key, item in current.items() if item.fix is not None]
        if not fixes:
            break
        key, finding = random.choice(fixes) if order else fixes[0]
        assert finding.fix is not None
        solved.add(key)
        applied.append(finding.fix)
        records = fixed_zones.published(records, finding.fix)
        after = await fixed_zones.scan(subject, zone(records))
        assert fixed_zones.problems(previous, after, finding) == [], applied
        previous = after
        assert len(applied) < MAX_FIXES, applied
    # Nothing that one order solves is left without a fix because of what was applied before.
    fixable = {key for key, item in fixed_zones.findings(before).items() if item.fix is not None}
    assert not fixable & fixed_zones.findings(previous).keys(), applied
