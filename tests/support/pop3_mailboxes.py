"""Mailboxes at a POP3 server on loopback."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import trustme

from app.mailboxes.pop3 import Pop3Config
from tests.support import pop3_server
from tests.support.pop3_server import Maildrop

AUTHORITY = trustme.CA()


@contextmanager
def served(
    maildrop: Maildrop,
    name: str = "127.0.0.1",
    *,
    has_starttls: bool = False,
    after_import: str = "delete",
    password: str | None = None,
) -> Iterator[Pop3Config]:
    """Access to a server with these messages; by default, with the right password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    with pop3_server.serving(maildrop, context, has_starttls=has_starttls) as port:
        yield Pop3Config(
            host="127.0.0.1",
            port=port,
            username=maildrop.username,
            password=maildrop.password if password is None else password,
            security="starttls" if has_starttls else "tls",
            after_import=after_import,
            ca_certificates=AUTHORITY.cert_pem.bytes().decode(),
        )
