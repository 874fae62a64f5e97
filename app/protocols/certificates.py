"""Certificates as TLSA records describe them (RFC 6698 §2.1)."""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

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

    def is_issued_by(self, issuer: bytes) -> bool:
        """Whether the certificate in DER issued this one: the names and the signature match."""
        try:
            certificate = x509.load_der_x509_certificate(self.der)
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(issuer))
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

    def is_valid_at(self, now: datetime) -> bool:
        """Whether the time is in the period for which the certificate was issued."""
        certificate = x509.load_der_x509_certificate(self.der)
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


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
