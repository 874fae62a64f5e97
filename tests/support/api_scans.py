"""Scans that a client of the API triggers and a worker runs."""

from typing import Any

from app import ids
from app.services.scans import runner
from tests.support.api_client import Client
from tests.support.zones import Zone, ZoneNetwork

BAD: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test"],
    ("ns1.acme.test", "A"): ["198.51.100.1"],
    ("ns2.acme.test", "A"): ["198.51.100.2"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["198.51.100.3"],
    "acme.test": ["v=spf1 mx -all", "v=spf1 -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}


def run(client: Client, scan: Any, records: Any = BAD) -> Any:
    """Run the scan as a worker does, and return it."""
    scan_id = ids.parse("scan", scan["id"])
    assert scan_id is not None
    runner.run([scan_id], ZoneNetwork(Zone(records)))
    return client.data("GET", f"/v1/scans/{scan['id']}")


def scan(client: Client, records: Any = BAD) -> Any:
    return run(client, client.data("POST", "/v1/domains/acme.test/scans", 202), records)
