"""Which TLSA records match the certificates of a mail host (RFC 7671 §5, RFC 7672 §3.1)."""

from collections.abc import Sequence
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


def is_match(tlsa: Tlsa, chain: Chain) -> bool | None:
    """Whether a usable record matches the chain; None if a certificate of the chain is unknown.

    DANE-EE describes the server's own certificate. DANE-TA describes a CA, which the server must
    send; only a complete certificate in the record (matching type 0) can be verified without it.
    """
    is_own = tlsa.usage == DANE_EE
    described = chain.certificates[:1] if is_own else chain.certificates
    data = tlsa.data.lower()
    if any(item.association_data(tlsa.selector, tlsa.matching) == data for item in described):
        return True
    if is_own:
        return False
    if (tlsa.selector, tlsa.matching) == (0, 0):
        issuer = bytes.fromhex(data)
        if any(item.is_issued_by(issuer) for item in chain.certificates):
            return True
    return False if chain.is_complete else None


def first_match(usable: Sequence[Tlsa], chain: Chain) -> tuple[Match, Tlsa | None]:
    """Return whether one of the usable records matches, and the first that does."""
    results = {tlsa: is_match(tlsa, chain) for tlsa in usable}
    for tlsa, result in results.items():
        if result:
            return Match.MATCH, tlsa
    return (Match.UNDETERMINED if None in results.values() else Match.MISMATCH), None
