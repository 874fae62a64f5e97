"""Mark certificates and the answers that contain them."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.ports.http import Page

NOW = datetime(2026, 1, 1, tzinfo=UTC)


AUTHORITY, FORGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """A certificate builder of the authority, without an expiry."""
    name, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, "Marks")
    )
    made = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
    return made.not_valid_before(NOW - timedelta(days=400))


def certificate(
    *names: str,
    days: float = 300,
    use: str = "1.3.6.1.5.5.7.3.31",
    is_named: bool = True,
    logotype: bytes | None = None,
    signer: ec.EllipticCurvePrivateKey = AUTHORITY,
    has_chain: bool = True,
) -> Page:
    """A served certificate with that of its issuer; it expires ``days`` after ``NOW``."""
    made = (
        builder("Example", ec.generate_private_key(ec.SECP256R1()))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(use)]), critical=False)
    )
    if is_named:
        hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in names])
        made = made.add_extension(hosts, critical=False)
    if logotype is not None:
        oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12")
        made = made.add_extension(x509.UnrecognizedExtension(oid, logotype), critical=False)
    chain = [made.sign(signer, hashes.SHA256())]
    if has_chain:
        root = builder("Marks", AUTHORITY).not_valid_after(NOW + timedelta(days=4000))
        chain.append(root.sign(AUTHORITY, hashes.SHA256()))
    pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
    return Page(url="", status=200, content_type="application/x-pem-file", body=pem)


CERTIFIED = certificate("example.org")
