"""Certificates as TLSA records describe them (RFC 6698 §2.1)."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

_SERVER_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
_VERSION = 0xA0  # the tag of the optional first field of a TBSCertificate
_FIELDS_TO_KEY = 5  # after the serial number: algorithm, issuer, validity, subject, public key


class Certificate(NamedTuple):
    """A certificate in DER, and its SubjectPublicKeyInfo as the certificate encodes it."""

    der: bytes
    public_key: bytes

    def association_data(self, selector: int, matching: int) -> str:
        """Return the data that a TLSA record of this certificate has, in hexadecimal.

        source  RFC 6698 §2.1.2, §2.1.3
        """
        selected = self.public_key if selector else self.der
        if matching == 0:
            return selected.hex()
        return hashlib.new("sha256" if matching == 1 else "sha512", selected).hexdigest()

    @property
    def is_self_signed(self) -> bool:
        """Whether the certificate is its own CA."""
        return self._has_issuer(lambda item: item.verify_directly_issued_by(item))

    def is_signed_by(self, public_key: bytes) -> bool:
        """Whether the key (SubjectPublicKeyInfo in DER) verifies the signature."""
        return self._has_issuer(lambda item: _verify(item, load_der_public_key(public_key)))

    def is_verified_by(self, anchor: bytes, sent: Sequence["Certificate"], now: datetime) -> bool:
        """Whether a path of valid certificates leads to the CA.

        anchor  the certificate of the CA in DER; it need not be in ``sent``
        sent    certificates that may be on the path
        source  RFC 5280 §6.1
        """
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # the CA may be an intermediate one
        store.set_time(now)
        try:
            store.add_cert(_openssl(anchor))
            path = [_openssl(item.der) for item in sent]
            crypto.X509StoreContext(store, _openssl(self.der), path).verify_certificate()
        except (crypto.Error, crypto.X509StoreContextError):
            return False
        return True

    def _has_issuer(self, verify: Callable[[x509.Certificate], None]) -> bool:
        try:
            verify(x509.load_der_x509_certificate(self.der))
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True

    def is_for(self, name: str) -> bool:
        """Whether the certificate names this host, itself or by a wildcard for its first label.

        source  RFC 7672 §3.2.2, RFC 9525 §6.3
        """
        try:
            names = _dns_names(x509.load_der_x509_certificate(self.der))
        except ValueError:
            return False
        return not {name.lower(), f"*.{name.lower().partition('.')[2]}"}.isdisjoint(names)

    @property
    def not_after(self) -> datetime:
        """When the certificate expires."""
        return x509.load_der_x509_certificate(self.der).not_valid_after_utc

    def is_valid_at(self, now: datetime) -> bool:
        """Whether the time is in the period for which the certificate was issued."""
        certificate = x509.load_der_x509_certificate(self.der)
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc

    @property
    def is_for_servers(self) -> bool:
        """Whether the certificate may be used by a TLS server (RFC 5280 §4.2.1.12)."""
        certificate = x509.load_der_x509_certificate(self.der)
        try:
            extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        except x509.ExtensionNotFound:
            return True
        except ValueError:
            return False
        return not _SERVER_PURPOSES.isdisjoint(extension.value)


def _openssl(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def _verify(certificate: x509.Certificate, key: PublicKeyTypes) -> None:
    """Verify the signature of the certificate.

    raises  InvalidSignature; TypeError for a key that cannot sign certificates
    """
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    parameters = certificate.signature_algorithm_parameters
    algorithm = certificate.signature_hash_algorithm
    if isinstance(key, RSAPublicKey) and isinstance(parameters, PKCS1v15 | PSS) and algorithm:
        key.verify(signature, signed, parameters, algorithm)
    elif isinstance(key, EllipticCurvePublicKey) and isinstance(parameters, ECDSA):
        key.verify(signature, signed, parameters)
    elif isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        key.verify(signature, signed)
    else:
        raise TypeError("the key cannot have signed the certificate")


def _dns_names(certificate: x509.Certificate) -> set[str]:
    """The DNS names in lower case; the common name counts only if there are none."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if not names:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(attribute.value) for attribute in common]
    return {name.lower() for name in names}


def load(der: bytes) -> Certificate:
    """Return the certificate.

    raises  ValueError if it is not an X.509 certificate
    source  RFC 5280 §4.1
    """
    x509.load_der_x509_certificate(der)
    [outer] = _elements(der)
    fields = _elements(next(_elements(outer.content)).content)
    if next(fields).tag == _VERSION:
        next(fields)
    *_, key = itertools.islice(fields, _FIELDS_TO_KEY)
    return Certificate(der, key.encoded)


def load_pem(text: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file, in its order.

    raises  ValueError if it contains none, or one that cannot be read
    """
    parsed = x509.load_pem_x509_certificates(text.encode())
    return tuple(load(certificate.public_bytes(Encoding.DER)) for certificate in parsed)


class _Element(NamedTuple):
    tag: int
    content: bytes
    encoded: bytes


def _elements(der: bytes) -> Iterator[_Element]:
    """The elements of a DER sequence, which the X.509 parser has accepted (X.690 §8.1)."""
    at = 0
    while at < len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[at + 2 : start])
        yield _Element(tag, der[start : start + length], der[at : start + length])
        at = start + length
