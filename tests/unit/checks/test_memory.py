"""Scans free their memory without a collection of cyclic garbage, which is rare while they run."""

import gc
from collections.abc import Iterator

import pytest

from app.checks.engine.runner import run_checks
from app.checks.engine.types import Subject
from app.ports.network import SessionFactory
from app.protocols.names import DomainName
from tests.support.zones import Zone, ZoneNetwork

ZONE = Zone(
    {
        ("acme.test", "NS"): ["ns1.acme.test"],
        ("ns1.acme.test", "A"): ["198.51.100.1"],
        ("acme.test", "MX"): ["10 mx.acme.test"],
        ("mx.acme.test", "A"): ["198.51.100.3"],
        "acme.test": ["v=spf1 include:_a.acme.test include:_b.acme.test -all"],
        "_a.acme.test": ["v=spf1 include:_b.acme.test -all"],
        "_b.acme.test": ["v=spf1 include:_a.acme.test ip4:198.51.100.0/24 -all"],
        "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
    }
)


@pytest.fixture
def saved_garbage() -> Iterator[None]:
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.usefixtures("saved_garbage")
def test_scan_leaves_no_cyclic_garbage() -> None:
    async def scan(new_session: SessionFactory) -> None:
        subject = Subject(DomainName("acme.test"))
        await run_checks({0: subject}, new_session, concurrency=1, seconds=10)

    ZoneNetwork(ZONE).run(scan)
    gc.collect()
    kinds = {type(item) for item in gc.garbage}
    assert [kind for kind in kinds if kind.__module__.startswith("app.")] == []
