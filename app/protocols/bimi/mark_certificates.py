"""Mark certificates (VMC, CMC): the evidence for a BIMI logo (draft-fetch-validation-vmc-wchuang).

The CA has checked the ownership of the mark. The chain is verified as far as the file contains it;
receivers decide whether they trust its root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ObjectIdentifier

from app.protocols.bimi import logotypes
from app.protocols.bimi.logotypes import Logo

_LOGOTYPE = ObjectIdentifier("1.3.6.1.5.5.7.1.12")
MAX_CHAIN = 10  # certificates of one file that are read
_FOR_MARKS = ObjectIdentifier("1.3.6.1.5.5.7.3.31")  # id-kp-BrandIndicatorforMessageIdentification


# What the library raises for malformed certificates; not everything is a ValueError.
_FAULTS = (
    *(ValueError, x509.InvalidVersion, x509.DuplicateExtension),
    x509.UnsupportedGeneralNameType,
)


class CertificateUnreadable(ValueError):
    """The bytes are not a PEM certificate, or not a mark certificate."""


@dataclass(frozen=True, slots=True)
class MarkCertificate:
    """The properties of the first certificate in a file that receivers check.

    names        its domains in lower case
    not_after    its expiry in UTC
    logos        its embedded images; none if the extension is absent or malformed
    chain_fault  why the certificate chain is invalid, for people; None if it is valid
    """

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    logos: tuple[Logo, ...] = ()
    chain_fault: str | None = None

    def shows(self, image: bytes) -> bool | None:
        """Whether the certificate embeds this image; None if there is nothing to compare."""
        answers = {logo.is_of(image) for logo in self.logos} - {None}
        return True in answers if answers else None

    def covers(self, domains: Iterable[str]) -> bool:
        """Whether the certificate is for one of these domains or their default selector."""
        return any({name, f"default._bimi.{name}"} & set(self.names) for name in domains)


def parse(pem: bytes) -> MarkCertificate:
    """The mark certificate in a PEM file.

    raises  CertificateUnreadable, with the reason for people
    """
    try:
        return _parsed(x509.load_pem_x509_certificates(pem)[:MAX_CHAIN])
    except x509.ExtensionNotFound:
        raise CertificateUnreadable(
            "the certificate is not a mark certificate (VMC or CMC)"
        ) from None
    except CertificateUnreadable:
        raise
    except _FAULTS:
        raise CertificateUnreadable("the file has no readable PEM certificate") from None


def _parsed(certificates: Sequence[x509.Certificate]) -> MarkCertificate:
    certificate = certificates[0]
    extensions = certificate.extensions
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if _FOR_MARKS not in uses:
        raise CertificateUnreadable("the certificate is not a mark certificate (VMC or CMC)")
    return MarkCertificate(
        names=tuple(sorted(host.lower() for host in names.get_values_for_type(x509.DNSName))),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        logos=_logos(extensions),
        chain_fault=_chain_fault(certificates),
    )


def _logos(extensions: x509.Extensions) -> tuple[Logo, ...]:
    try:
        value = extensions.get_extension_for_oid(_LOGOTYPE).value
        return logotypes.parse(value.public_bytes())
    except (x509.ExtensionNotFound, logotypes.LogotypeUnreadable):
        return ()


def _chain_fault(certificates: Sequence[x509.Certificate]) -> str | None:
    """The fault in the chain of issuers that starts at the first certificate; None if valid."""
    current, others = certificates[0], list(certificates[1:])
    if not any(other.subject == current.issuer for other in others):
        return "the file does not contain the certificate of the issuer"
    while issuers := [other for other in others if other.subject == current.issuer]:
        issuer = next((other for other in issuers if _is_issued_by(current, other)), None)
        if issuer is None:
            return "the signature of a certificate does not match its issuer in the file"
        others.remove(issuer)
        current = issuer
    return None


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
