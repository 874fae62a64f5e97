"""A DMARC record of acme.test that is weakened between two scans."""

from typing import Any
from uuid import UUID

from app.services.scans import runner
from tests.support.factories import make_scan
from tests.support.zones import Zone, ZoneNetwork

REJECT, NONE = "v=DMARC1; p=reject; rua=mailto:d@acme.test", "v=DMARC1; p=none"
_RECORDS: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all"],
}


def scan(account_id: UUID, dmarc: str) -> None:
    """Scan acme.test with this DMARC record."""
    queued = make_scan(account_id, "acme.test")
    zone = Zone(_RECORDS | {"_dmarc.acme.test": [dmarc]})
    assert runner.run([queued.id], ZoneNetwork(zone)) == 1
