"""Mark certificates (VMC, CMC): the evidence for a BIMI logo (draft-fetch-validation-vmc-wchuang).

Whose mark it is was checked by the CA. Its chain is not verified here, and the logo in it is not
compared with the one that is published.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

_FOR_MARKS = ObjectIdentifier("1.3.6.1.5.5.7.3.31")  # id-kp-BrandIndicatorforMessageIdentification


class Unreadable(ValueError):
    """The bytes are no certificate in PEM, or not one for marks."""


@dataclass(frozen=True, slots=True)
class MarkCertificate:
    """What a receiver looks at in the first certificate of a file.

    names      the domains it is for, lower-case
    not_after  its end, in UTC
    """

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def covers(self, domains: Iterable[str]) -> bool:
        """It is for one of these, or for the default selector of one."""
        return any({name, f"default._bimi.{name}"} & set(self.names) for name in domains)


def parse(pem: bytes) -> MarkCertificate:
    """The certificate that is evidence.

    raises  Unreadable, with the reason for people
    """
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
        extensions = certificate.extensions
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        raise Unreadable("the certificate is not one for marks") from None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Unreadable("there is no certificate in PEM that can be read") from None
    if _FOR_MARKS not in uses:
        raise Unreadable("the certificate is not one for marks")
    return MarkCertificate(
        tuple(sorted(host.lower() for host in hosts)),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
