"""SMTP: the TLS probe of a mail host and the interface of the prober."""

from datetime import datetime
from typing import NamedTuple, Protocol


class TlsProbe(NamedTuple):
    """The TLS probe of a mail host.

    version    ``TLSv1.2``, ``TLSv1.3``
    problem    ``version`` (nothing newer than TLS 1.1), ``expired``, ``host_mismatch``,
               ``weak_key``, ``weak_signature``, ``key_usage`` or ``untrusted``; ``detail`` is the
               error text of the TLS library
    not_after  expiry of a certificate without a problem, RFC 3339
    certificates  in DER, the host's own first, also those with a problem; empty if unknown
    has_complete_chain  False if the host may have sent more than ``certificates``
    probed_at  when the host was probed; None for a probe that is not stored yet
    """

    host: str
    offers_tls: bool
    version: str | None = None
    problem: str | None = None
    detail: str = ""
    not_after: str | None = None
    certificates: tuple[bytes, ...] = ()
    has_complete_chain: bool = False
    probed_at: datetime | None = None


class TlsProber(Protocol):
    """Probes the STARTTLS support of mail hosts."""

    async def probe_tls(self, host: str) -> TlsProbe:
        """Return the TLS probe of a mail host, by connecting to it.

        raises  LookupFailed if the host did not answer
        """
