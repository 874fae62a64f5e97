"""Evaluates a certificate against the TLSA records of a domain's MX hosts, before a renewal."""

from collections.abc import Sequence
from uuid import UUID

from app import wall_clock
from app.checks.transport import certificate_match
from app.checks.transport import evaluate as dane_evaluate
from app.checks.transport.evaluate import HostEvaluation
from app.errors import InvalidRequest, ServiceUnavailable
from app.ports.dns import LookupFailed
from app.ports.network import Network
from app.protocols.transport import certificates
from app.services.core import domain_lookup

MAX_CERTIFICATES = 10


def evaluate(account_id: UUID, ref: str, pem: str, network: Network) -> Sequence[HostEvaluation]:
    """Return for each MX host of the domain which TLSA records match the certificate.

    pem     the certificate of the mail server, followed by those of its CAs if it sends them
    raises  NotFound; InvalidRequest for text that is not a certificate in PEM; ServiceUnavailable
            if the MX records cannot be looked up
    """
    domain = domain_lookup.find(account_id, ref).name
    try:
        served = certificates.load_pem(pem)
    except ValueError:
        message = "expected a certificate in PEM (-----BEGIN CERTIFICATE-----)"
        raise InvalidRequest.field("certificate", message) from None
    if len(served) > MAX_CERTIFICATES:
        message = f"contains {len(served)} certificates; at most {MAX_CERTIFICATES} are allowed"
        raise InvalidRequest.field("certificate", message)
    chain = certificate_match.chain(served, is_complete=len(served) > 1)
    try:
        return network.run(
            lambda new_session: dane_evaluate.evaluate(
                domain, chain, new_session(), wall_clock.now()
            )
        )
    except LookupFailed as error:
        raise ServiceUnavailable(f"The DNS lookup of the MX records failed: {error}") from None
