"""The DNS data of the examples in docs/api."""

from collections.abc import Mapping
from typing import Any

import trustme

from app.ports.dns import Tlsa
from app.protocols.transport import certificates
from tests.support.zones import Zone, ZoneNetwork

RECORDS: dict[Any, Any] = {
    ("example.com", "NS"): ["ns1.example.com", "ns2.example.com"],
    ("ns1.example.com", "A"): ["198.51.100.1"],
    ("ns2.example.com", "A"): ["198.51.100.2"],
    ("example.com", "MX"): ["10 mx.example.com"],
    ("mx.example.com", "A"): ["198.51.100.3"],
    "example.com": ["v=spf1 mx -all", "v=spf1 -all"],
    "_dmarc.example.com": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com"],
}


def renewed_certificate(records: Mapping[Any, Any]) -> tuple[ZoneNetwork, str]:
    """Return a signed zone with the TLSA record of the old certificate, and the new one in PEM."""
    authority = trustme.CA()
    old, new = (
        authority.issue_cert("mx.example.com").cert_chain_pems[0].bytes().decode() for _ in range(2)
    )
    [described] = certificates.load_pem(old)
    tlsa = Tlsa(usage=3, selector=1, matching=1, data=described.association_data(1, 1))
    signed = {**records, ("_25._tcp.mx.example.com", "TLSA"): [tlsa]}
    return ZoneNetwork(Zone(signed, authenticated=True)), new
