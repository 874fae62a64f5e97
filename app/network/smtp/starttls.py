"""STARTTLS probes of mail hosts: one SMTP session up to the TLS handshake (RFC 3207).

The same rules as for HTTPS apply: the addresses are resolved once, all must be public, and the
connection goes to one of them.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from functools import cached_property

from OpenSSL import SSL

from app.network.http import special_addresses
from app.network.http.egress import Refusal, public_addresses
from app.network.smtp import handshake
from app.ports.dns import LookupFailed, Resolver
from app.ports.smtp import TlsProbe
from app.protocols.transport import certificates

MAX_CONCURRENT = 16
TOTAL_SECONDS = 20.0
CONNECT_SECONDS = 5.0
MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES = 8, 16 * 1024  # what a probe stores of a chain
MAX_LINES, MAX_LINE = 100, 2048  # of one reply; RFC 5321 §4.5.3.1.5 has 512 octets

_UNTRUSTED = "untrusted"
_PROBLEMS = {  # by X509_V_ERR_… of OpenSSL: the problem, and OpenSSL's text
    9: (_UNTRUSTED, "certificate is not yet valid"),
    10: ("expired", "certificate has expired"),
    18: (_UNTRUSTED, "self-signed certificate"),
    19: (_UNTRUSTED, "self-signed certificate in certificate chain"),
    20: (_UNTRUSTED, "unable to get local issuer certificate"),
    21: (_UNTRUSTED, "unable to verify the first certificate"),
    26: ("key_usage", "unsuitable certificate purpose"),
    66: ("weak_key", "EE certificate key too weak"),
    67: ("weak_key", "CA certificate key too weak"),
    68: ("weak_signature", "CA signature digest algorithm too weak"),
}


class Prober:
    """Probes mail hosts in one event loop, ``MAX_CONCURRENT`` at a time.

    hello    the host name in EHLO
    allowed  networks that are allowed although they are not public
    """

    def __init__(
        self,
        hello: str,
        allowed: Sequence[special_addresses.Network] = (),
        *,
        port: int = 25,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._hello, self._allowed, self._port = hello, allowed, port
        self._seconds = seconds
        self._gate = asyncio.Semaphore(MAX_CONCURRENT)

    async def probe(self, resolver: Resolver, host: str) -> TlsProbe:
        """Return the TLS support of the host, and whether its certificate is valid for its name.

        raises  LookupFailed if there is no answer, or no SMTP server at the address
        """
        try:
            addresses = await public_addresses(resolver, host, self._allowed)
            async with self._gate, asyncio.timeout(self._seconds):
                return await self._session(str(addresses[0]), host)
        except Refusal as refusal:
            raise LookupFailed(host, "SMTP", refusal.failure) from None
        except TimeoutError:
            raise LookupFailed(host, "SMTP", "timeout") from None
        except (OSError, EOFError):
            raise LookupFailed(host, "SMTP", "network") from None
        except ValueError:
            raise LookupFailed(host, "SMTP", "garbage") from None

    @cached_property
    def _context(self) -> SSL.Context:
        """The TLS context; it reads the trusted CAs, so only processes that probe create it."""
        return handshake.client_context()

    async def _session(self, address: str, host: str) -> TlsProbe:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, self._port, limit=MAX_LINE)
        try:
            await _reply(reader, "220")
            offers = await _command(reader, writer, f"EHLO {self._hello}", "250")
            if not any(line[4:].strip().upper() == "STARTTLS" for line in offers):
                return TlsProbe(host, offers_tls=False)
            await _command(reader, writer, "STARTTLS", "220")
            return _probe(host, await handshake.complete(self._context, reader, writer, host))
        except handshake.NoCommonVersionError as error:
            return TlsProbe(host, offers_tls=True, problem="version", detail=str(error))
        finally:
            writer.transport.abort()  # without waiting for the peer


async def _command(reader: StreamReader, writer: StreamWriter, line: str, code: str) -> list[str]:
    writer.write(f"{line}\r\n".encode("ascii"))
    await writer.drain()
    return await _reply(reader, code)


async def _reply(reader: StreamReader, code: str) -> list[str]:
    """Return the lines of one SMTP reply.

    raises  EOFError for another code or no reply; ValueError if a line is too long
    source  RFC 5321 §4.2.1
    """
    lines = []
    for _ in range(MAX_LINES):
        line = (await reader.readline()).decode("ascii", "replace").rstrip("\r\n")
        lines.append(line)
        if line[3:4] != "-":
            break
    if not all(line.startswith(code) for line in lines) or lines[-1][3:4] == "-":
        raise EOFError
    return lines


def _probe(host: str, session: handshake.Session) -> TlsProbe:
    problem, detail, not_after = None, "", None
    if session.error is not None:
        unknown = (_UNTRUSTED, f"verification error {session.error} of OpenSSL")
        problem, detail = _PROBLEMS.get(session.error, unknown)
    else:
        leaf = certificates.load(session.certificates[0])
        not_after = leaf.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")
        if not leaf.is_for(host):
            problem, detail, not_after = "host_mismatch", f"certificate is not for {host}", None
    served = session.certificates[:MAX_CERTIFICATES]
    if any(len(der) > MAX_CERTIFICATE_BYTES for der in served):
        served = ()
    return TlsProbe(
        host=host,
        offers_tls=True,
        version=session.version,
        problem=problem,
        detail=detail,
        not_after=not_after,
        certificates=served,
        has_complete_chain=len(served) == len(session.certificates),
    )
