"""Which TLSA records match the certificates of a mail host (RFC 7671 §5, RFC 7672 §3.1)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from app.ports.dns import Tlsa
from app.ports.smtp import TlsProbe
from app.protocols.transport import certificates
from app.protocols.transport.certificates import Certificate

DANE_TA, DANE_EE = 2, 3  # usages: a CA of the certificate, the certificate itself


class Match(StrEnum):
    """Whether a record of a host matches its certificates."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNDETERMINED = "undetermined"


class Chain(NamedTuple):
    """The certificates of a server, its own first.

    is_complete  False if the server may send more certificates
    """

    certificates: tuple[Certificate, ...]
    is_complete: bool

    @property
    def leaf(self) -> Certificate:
        """The server's own certificate."""
        return self.certificates[0]

    @property
    def sent(self) -> tuple[Certificate, ...]:
        """The certificates that the server sends after its own."""
        return self.certificates[1:]

    def is_verified_by(self, anchor: bytes, now: datetime) -> bool:
        """Whether the CA in DER issued the server's certificate, itself or through other CAs."""
        return self.leaf.is_verified_by(anchor, self.sent, now)


def chain(served: Sequence[Certificate], *, is_complete: bool = False) -> Chain:
    """Return the chain; a self-signed certificate has no CA, so it is complete."""
    return Chain(tuple(served), is_complete or served[0].is_self_signed)


def probed_chain(probe: TlsProbe) -> Chain | None:
    """Return the certificates that the probe saw; None if it saw none."""
    try:
        served = [certificates.load(der) for der in probe.certificates]
    except ValueError:
        return None
    return chain(served, is_complete=probe.has_complete_chain) if served else None


class Reference(NamedTuple):
    """What senders compare the certificate of a host with, beyond its TLSA records.

    names  the host, and the domain that email is sent to; the certificate must be for one of them
    now    the time of the connection
    """

    names: tuple[str, ...]
    now: datetime

    def rejects(self, certificate: Certificate) -> str | None:
        """Why a sender rejects the server's own certificate; None if it does not."""
        if not any(map(certificate.is_for, self.names)):
            return f"the certificate is not for {' or '.join(self.names)}"
        if not certificate.is_valid_at(self.now):
            return "the certificate is expired or not valid yet"
        if not certificate.is_for_servers:
            return "the certificate is not for TLS servers"
        return None


def is_match(tlsa: Tlsa, chain: Chain, reference: Reference) -> bool | None:
    """Whether a usable record matches the chain; None if that cannot be determined.

    DANE-EE describes the server's own certificate, and nothing else of it counts. DANE-TA describes
    a CA, which must have issued the server's certificate, itself or through other CAs that the
    server sends. The server must send the CA's certificate too, unless the record contains it or
    its public key (matching type 0). Names and dates count too. Senders differ in whether a record
    of usage 2 may describe the server's own certificate.

    source  RFC 7671 §5.1, §5.2; RFC 7672 §3.1.1, §3.1.2, §3.2.2
    """
    data = tlsa.data.lower()
    if tlsa.usage == DANE_EE:
        return chain.leaf.association_data(tlsa.selector, tlsa.matching) == data
    if reference.rejects(chain.leaf):
        return False
    if chain.leaf.association_data(tlsa.selector, tlsa.matching) == data:
        return None
    if any(
        item.association_data(tlsa.selector, tlsa.matching) == data
        and chain.is_verified_by(item.der, reference.now)
        for item in chain.sent
    ):
        return True
    if tlsa.matching == 0 and _is_issued_by_contents(tlsa, chain, reference.now):
        return True
    return False if chain.is_complete else None


def _is_issued_by_contents(tlsa: Tlsa, chain: Chain, now: datetime) -> bool:
    """Whether the CA is the certificate in the record, or has the public key in the record."""
    contents = bytes.fromhex(tlsa.data)
    if tlsa.selector == 0:
        return chain.is_verified_by(contents, now)
    return chain.leaf.is_signed_by(contents) or any(
        item.is_signed_by(contents) and chain.is_verified_by(item.der, now) for item in chain.sent
    )


def first_match(
    usable: Sequence[Tlsa], chain: Chain, reference: Reference
) -> tuple[Match, Tlsa | None]:
    """Return whether one of the usable records matches, and the first that does."""
    results = {tlsa: is_match(tlsa, chain, reference) for tlsa in usable}
    for tlsa, result in results.items():
        if result:
            return Match.MATCH, tlsa
    return (Match.UNDETERMINED if None in results.values() else Match.MISMATCH), None
