"""The TLS handshake with a mail host: the certificates that it sends, and OpenSSL's objection.

The ``ssl`` module of Python 3.11 provides only the host's own certificate, and ends the handshake
if the certificate is not trusted. Records of DANE may describe the CAs that the host sends, and
hosts with DANE often have a certificate of a private CA, so the handshake uses pyOpenSSL.
"""

import ssl
from asyncio import StreamReader, StreamWriter
from typing import NamedTuple

from OpenSSL import SSL, crypto

MAX_HANDSHAKE_BYTES = 256 * 1024  # OpenSSL accepts certificates of 100 KiB
_READ_BYTES = 16 * 1024

_NO_COMMON_VERSION = {"unsupported protocol", "tlsv1 alert protocol version"}


class NoCommonVersionError(Exception):
    """The host supports no version of TLS that is still secure (RFC 8996)."""


class Session(NamedTuple):
    """A completed handshake.

    version       ``TLSv1.2``, ``TLSv1.3``
    certificates  in DER, in the order in which the host sent them, its own first
    error         the first error of the verification, a code of OpenSSL (X509_V_ERR_…); None if
                  the certificate is trusted. The name of the host is not compared
    """

    version: str
    certificates: tuple[bytes, ...]
    error: int | None


def client_context() -> SSL.Context:
    """Return a context for TLS 1.2 and later that trusts the public CAs of this system."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_verify_locations(paths.cafile, paths.capath)
    return context


async def complete(
    context: SSL.Context, reader: StreamReader, writer: StreamWriter, host: str
) -> Session:
    """Complete a TLS handshake over the connection, also if the certificate is not trusted.

    raises  NoCommonVersionError; EOFError if the host closed the connection; ValueError if the
            handshake failed or is too large
    """
    errors: list[int] = []

    def accept(_: SSL.Connection, __: crypto.X509, error: int, ___: int, ____: int) -> bool:
        if error:
            errors.append(error)
        return True

    connection = SSL.Connection(context)
    connection.set_verify(SSL.VERIFY_PEER, accept)
    connection.set_tlsext_host_name(host.encode("ascii"))
    connection.set_connect_state()
    await _exchange(connection, reader, writer)
    served = connection.get_peer_cert_chain() or []
    return Session(
        version=connection.get_protocol_version_name(),
        certificates=tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, item) for item in served),
        error=errors[0] if errors else None,
    )


async def _exchange(connection: SSL.Connection, reader: StreamReader, writer: StreamWriter) -> None:
    """Pass the messages of the handshake between OpenSSL and the network."""
    received_bytes = 0
    while True:
        is_complete = _advance(connection)
        writer.write(_outgoing(connection))
        await writer.drain()
        if is_complete:
            return
        received = await reader.read(_READ_BYTES)
        received_bytes += len(received)
        if not received:
            raise EOFError
        if received_bytes > MAX_HANDSHAKE_BYTES:
            raise ValueError("the handshake is too large")
        connection.bio_write(received)


def _advance(connection: SSL.Connection) -> bool:
    """Process what was received, and return whether the handshake is complete."""
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    except SSL.Error as error:
        reasons = {reason for *_, reason in error.args[0]} if error.args else set()
        if reasons & _NO_COMMON_VERSION:
            raise NoCommonVersionError(", ".join(sorted(reasons))) from None
        raise ValueError(f"the handshake failed: {', '.join(sorted(reasons))}") from None
    return True


def _outgoing(connection: SSL.Connection) -> bytes:
    try:
        return connection.bio_read(MAX_HANDSHAKE_BYTES)
    except SSL.WantReadError:
        return b""
