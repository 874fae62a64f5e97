"""A certificate authority that lives as long as its process, and no key of it any longer."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """Issues certificates that only those trust who were given ``write_bundle``'s file."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="Demo, trusted by nobody else")

    def write_bundle(self, path: Path) -> None:
        """Write the authority's own certificate, for ``SSL_CERT_FILE``."""
        self._authority.cert_pem.write_to_path(str(path))

    def trust(self, context: ssl.SSLContext) -> None:
        """Make a client's context accept what this authority issues."""
        self._authority.configure_trust(context)

    def context(self, host: str, *, is_expired: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate for ``host``."""
        end = datetime.now(UTC) + timedelta(days=-2 if is_expired else 60)
        issued = self._authority.issue_cert(
            host, not_before=end - timedelta(days=90), not_after=end
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        issued.configure_cert(context)
        return context
