"""Mark certificates (VMC, CMC): the evidence for a BIMI logo (draft-fetch-validation-vmc-wchuang).

Whose mark it is was checked by the CA. The chain is followed as far as the file goes; whether
receivers trust where it ends is theirs to say.
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
MAX_CHAIN = 10  # certificates of one file that are looked at
_FOR_MARKS = ObjectIdentifier("1.3.6.1.5.5.7.3.31")  # id-kp-BrandIndicatorforMessageIdentification


# What the library raises for certificates that are not as they should be; not all is ValueError.
_FAULTS = (
    *(ValueError, x509.InvalidVersion, x509.DuplicateExtension),
    x509.UnsupportedGeneralNameType,
)


class CertificateUnreadable(ValueError):
    """The bytes are no certificate in PEM, or not one for marks."""


@dataclass(frozen=True, slots=True)
class MarkCertificate:
    """What a receiver looks at in the first certificate of a file.

    names        the domains it is for, lower-case
    not_after    its end, in UTC
    logos        the images in it; none: it has no such extension, or one that cannot be read
    chain_fault  why it does not lead to another certificate of the file, for people
    """

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    logos: tuple[Logo, ...] = ()
    chain_fault: str | None = None

    def shows(self, image: bytes) -> bool | None:
        """Whether an image of it is this one; None if there is nothing to compare."""
        answers = {logo.is_of(image) for logo in self.logos} - {None}
        return True in answers if answers else None

    def covers(self, domains: Iterable[str]) -> bool:
        """It is for one of these, or for the default selector of one."""
        return any({name, f"default._bimi.{name}"} & set(self.names) for name in domains)


def parse(pem: bytes) -> MarkCertificate:
    """The certificate that is evidence.

    raises  Unreadable, with the reason for people
    """
    try:
        return _parsed(x509.load_pem_x509_certificates(pem)[:MAX_CHAIN])
    except x509.ExtensionNotFound:
        raise CertificateUnreadable("the certificate is not one for marks") from None
    except CertificateUnreadable:
        raise
    except _FAULTS:
        raise CertificateUnreadable("there is no certificate in PEM that can be read") from None


def _parsed(certificates: Sequence[x509.Certificate]) -> MarkCertificate:
    certificate = certificates[0]
    extensions = certificate.extensions
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if _FOR_MARKS not in uses:
        raise CertificateUnreadable("the certificate is not one for marks")
    return MarkCertificate(
        tuple(sorted(host.lower() for host in names.get_values_for_type(x509.DNSName))),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        _logos(extensions),
        _chain_fault(certificates),
    )


def _logos(extensions: x509.Extensions) -> tuple[Logo, ...]:
    try:
        value = extensions.get_extension_for_oid(_LOGOTYPE).value
        return logotypes.parse(value.public_bytes())
    except (x509.ExtensionNotFound, logotypes.LogotypeUnreadable):
        return ()


def _chain_fault(certificates: Sequence[x509.Certificate]) -> str | None:
    """Follow the issuers from the first certificate on, through the rest of the file."""
    current, others = certificates[0], list(certificates[1:])
    if not any(other.subject == current.issuer for other in others):
        return "the certificate of its issuer is not in the file"
    while issuers := [other for other in others if other.subject == current.issuer]:
        issuer = next((other for other in issuers if _is_issued_by(current, other)), None)
        if issuer is None:
            return "the signature on a certificate is not that of its issuer in the file"
        others.remove(issuer)
        current = issuer
    return None


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
