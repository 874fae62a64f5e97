"""Records of usage 2 need a path of certificates that senders accept (RFC 7671 §5.2)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.checks.transport import certificate_match
from app.checks.transport.certificate_match import Reference
from app.ports.dns import Tlsa
from app.protocols.transport import certificates

MX = "mx.example.org"
NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


class Issued(NamedTuple):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    is_ca: bool = True,
    uses: Sequence[x509.ObjectIdentifier] = (),
    key: CertificateIssuerPrivateKeyTypes | None = None,
) -> Issued:
    """Issue a certificate for the name, signed by the issuer or else by itself."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    signer = issuer.key if issuer else own
    is_eddsa = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Issued(builder.sign(signer, None if is_eddsa else hashes.SHA256()), own)


def matches(usage: str, described: Issued, *sent: Issued, now: datetime = NOW) -> bool | None:
    """Whether a record such as ``2 1 1`` of a certificate matches the certificates."""
    _, selector, matching = map(int, usage.split())
    data = certificates.load(described.der).association_data(selector, matching)
    tlsa = Tlsa(usage=2, selector=selector, matching=matching, data=data)
    served = [certificates.load(item.der) for item in sent]
    chain = certificate_match.chain(served, is_complete=True)
    return certificate_match.is_match(tlsa, chain, Reference((MX,), now))


@pytest.mark.parametrize("usage", ["2 0 0", "2 0 1", "2 1 0", "2 1 2"])
def test_certificate_of_a_host_is_no_ca_for_another_one(usage: str) -> None:
    root = issue("root.example")
    other_host = issue("other.example", root, is_ca=False)
    leaf = issue(MX, other_host, is_ca=False)
    assert matches(usage, root, leaf, other_host, root) is False
    intermediate = issue("ca.example", root)
    leaf = issue(MX, intermediate, is_ca=False)
    assert matches(usage, root, leaf, intermediate, root) is True


@pytest.mark.parametrize(
    ("uses", "expected"),
    [((), True), ((SERVER, CLIENT), True), ((ANY,), True), ((CLIENT,), False)],
)
def test_certificate_must_be_for_servers(
    uses: Sequence[x509.ObjectIdentifier], expected: bool
) -> None:
    root = issue("root.example")
    leaf = issue(MX, root, is_ca=False, uses=uses)
    assert matches("2 1 1", root, leaf, root) is expected


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
)
def test_complete_public_key_of_the_ca_verifies_certificates_without_that_of_the_ca(
    key: CertificateIssuerPrivateKeyTypes,
) -> None:
    root = issue("root.example", key=key)
    intermediate = issue("ca.example", root)
    leaf, direct = issue(MX, intermediate, is_ca=False), issue(MX, root, is_ca=False)
    assert matches("2 1 0", root, direct) is True
    assert matches("2 1 0", root, leaf, intermediate) is True
    assert matches("2 1 0", root, leaf) is False
    assert matches("2 1 1", root, leaf, intermediate) is False
    same_kind = issue("root.example", key=rsa.generate_private_key(65537, 2048))
    assert matches("2 1 0", same_kind, leaf, intermediate) is False


def test_public_key_verifies_probabilistic_signatures_of_rsa() -> None:
    key = rsa.generate_private_key(65537, 2048)
    root = issue("root.example", key=key)
    builder = (
        x509.CertificateBuilder(
            issuer_name=root.certificate.subject,
            subject_name=x509.Name([]),
            public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
            serial_number=1,
        )
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(MX)]), critical=True)
    )
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    leaf = Issued(builder.sign(key, hashes.SHA256(), rsa_padding=pss), key)
    assert matches("2 1 0", root, leaf) is True


@pytest.mark.parametrize("contents", ["", "3000", "ff" * 100])
@pytest.mark.parametrize("selector", [0, 1])
def test_contents_that_are_no_certificate_and_no_key_match_nothing(
    contents: str, selector: int
) -> None:
    tlsa = Tlsa(usage=2, selector=selector, matching=0, data=contents)
    leaf = certificates.load(issue(MX, issue("root.example"), is_ca=False).der)
    chain = certificate_match.chain([leaf], is_complete=True)
    assert certificate_match.is_match(tlsa, chain, Reference((MX,), NOW)) is False
