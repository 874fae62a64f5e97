"""A certificate authority whose key exists only as long as the process."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """Issues certificates that only clients with the file of ``write_bundle`` trust."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="Demo authority, not publicly trusted")

    def write_bundle(self, path: Path) -> None:
        """Write the authority's own certificate, for ``SSL_CERT_FILE``."""
        self._authority.cert_pem.write_to_path(str(path))

    def trust(self, context: ssl.SSLContext) -> None:
        """Make a client context trust this authority."""
        self._authority.configure_trust(context)

    def context(self, host: str, *, is_expired: bool = False) -> ssl.SSLContext:
        """Return a server context with a certificate for ``host``."""
        end = datetime.now(UTC) + timedelta(days=-2 if is_expired else 60)
        issued = self._authority.issue_cert(
            host, not_before=end - timedelta(days=90), not_after=end
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        issued.configure_cert(context)
        return context
