"""Which TLSA records match the certificates of a mail host (RFC 7671 §5, RFC 7672 §3.1)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from app.ports.dns import Tlsa
from app.ports.smtp import TlsProbe
from app.protocols import certificates
from app.protocols.certificates import Certificate

DANE_TA, DANE_EE = 2, 3  # usages: a CA of the certificate, the certificate itself


class Match(StrEnum):
    """Whether a record of a host matches its certificates."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNDETERMINED = "undetermined"


class Chain(NamedTuple):
    """The certificates of a server, its own first.

    is_complete  False if only the server's own certificate is known
    """

    certificates: tuple[Certificate, ...]
    is_complete: bool

    @property
    def leaf(self) -> Certificate:
        """The server's own certificate."""
        return self.certificates[0]


def chain(served: Sequence[Certificate], *, is_complete: bool = False) -> Chain:
    """Return the chain; a self-signed certificate has no CA, so it is complete."""
    return Chain(tuple(served), is_complete or served[0].is_issued_by(served[0].der))


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
        return None


def is_match(tlsa: Tlsa, chain: Chain, reference: Reference) -> bool | None:
    """Whether a usable record matches the chain; None if that cannot be determined.

    DANE-EE describes the server's own certificate, and nothing else of it counts. DANE-TA describes
    a CA, which the server must send, and which must have issued the server's certificate, itself or
    through other CAs that the server sends. Only a complete certificate in the record (matching
    type 0) can be verified without the CA's certificate. Names and dates count too. Senders differ
    in whether a record of usage 2 may describe the server's own certificate.

    source  RFC 7671 §5.1, §5.2; RFC 7672 §3.1.1, §3.1.2, §3.2.2
    """
    data = tlsa.data.lower()
    if tlsa.usage == DANE_EE:
        return chain.leaf.association_data(tlsa.selector, tlsa.matching) == data
    if reference.rejects(chain.leaf):
        return False
    path = _path(chain.certificates, reference.now)
    if any(item.association_data(tlsa.selector, tlsa.matching) == data for item in path[1:]):
        return True
    if (tlsa.selector, tlsa.matching) == (0, 0):
        issuer = bytes.fromhex(data)
        if any(item.is_issued_by(issuer) for item in path):
            return True
    if chain.leaf.association_data(tlsa.selector, tlsa.matching) == data:
        return None
    return False if chain.is_complete else None


def _path(served: Sequence[Certificate], now: datetime) -> list[Certificate]:
    """The server's certificate, followed by the CAs above it, as far as they are valid."""
    path, others = [served[0]], list(served[1:])
    while issuer := next((item for item in others if path[-1].is_issued_by(item.der)), None):
        others.remove(issuer)
        path.append(issuer)
        if not issuer.is_valid_at(now):
            return path[:-1]
    return path


def first_match(
    usable: Sequence[Tlsa], chain: Chain, reference: Reference
) -> tuple[Match, Tlsa | None]:
    """Return whether one of the usable records matches, and the first that does."""
    results = {tlsa: is_match(tlsa, chain, reference) for tlsa in usable}
    for tlsa, result in results.items():
        if result:
            return Match.MATCH, tlsa
    return (Match.UNDETERMINED if None in results.values() else Match.MISMATCH), None
