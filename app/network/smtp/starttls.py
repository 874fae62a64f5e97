"""STARTTLS probes of mail hosts: one SMTP session up to the TLS handshake (RFC 3207).

The same rules as for HTTPS apply: the addresses are resolved once, all must be public, and the
connection goes to one of them.
"""

import asyncio
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from app.network.http import special_addresses
from app.network.http.egress import Refusal, public_addresses
from app.ports.dns import LookupFailed, Resolver
from app.ports.smtp import TlsProbe

MAX_CONCURRENT = 16
TOTAL_SECONDS = 20.0
CONNECT_SECONDS = 5.0
MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES = 8, 16 * 1024  # what a probe stores of a chain
MAX_LINES, MAX_LINE = 100, 2048  # of one reply; RFC 5321 §4.5.3.1.5 has 512 octets

_PROBLEMS = {10: "expired", 62: "host_mismatch", 64: "host_mismatch", 26: "key_usage"}
_PROBLEMS |= {66: "weak_key", 67: "weak_key", 68: "weak_signature"}  # X509_V_ERR_…; others: trust
_NO_COMMON_VERSION = ("PROTOCOL", "VERSION")  # in the error reasons of OpenSSL


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
                return await self._probe(str(addresses[0]), host)
        except Refusal as refusal:
            raise LookupFailed(host, "SMTP", refusal.failure) from None
        except TimeoutError:
            raise LookupFailed(host, "SMTP", "timeout") from None
        except (OSError, EOFError):
            raise LookupFailed(host, "SMTP", "network") from None
        except ValueError:
            raise LookupFailed(host, "SMTP", "garbage") from None

    async def _probe(self, address: str, host: str) -> TlsProbe:
        """Return the probe; a rejected certificate takes a second session to read it."""
        probe = await self._session(address, host, _verifying())
        if probe.problem not in (None, "version"):
            with suppress(OSError, EOFError, ValueError):
                unverified = await self._session(address, host, _accepting())
                return probe._replace(
                    certificates=unverified.certificates,
                    has_complete_chain=unverified.has_complete_chain,
                )
        return probe

    async def _session(self, address: str, host: str, context: ssl.SSLContext) -> TlsProbe:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, self._port, limit=MAX_LINE)
        try:
            await _reply(reader, "220")
            offers = await _command(reader, writer, f"EHLO {self._hello}", "250")
            if not any(line[4:].strip().upper() == "STARTTLS" for line in offers):
                return TlsProbe(host, offers_tls=False)
            await _command(reader, writer, "STARTTLS", "220")
            return await _handshake(writer, host, context)
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


def _verifying() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _accepting() -> ssl.SSLContext:
    """A context that accepts every certificate, to read one that was rejected."""
    context = _verifying()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _handshake(writer: StreamWriter, host: str, context: ssl.SSLContext) -> TlsProbe:
    try:
        await writer.start_tls(context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        problem = _PROBLEMS.get(error.verify_code, "untrusted")
        return TlsProbe(host, True, problem=problem, detail=error.verify_message or "")
    except ssl.SSLError as error:
        if any(word in (error.reason or "") for word in _NO_COMMON_VERSION):
            return TlsProbe(host, True, problem="version", detail=error.reason or "")
        raise
    channel = writer.get_extra_info("ssl_object")
    certificates, is_complete = _served(channel)
    return TlsProbe(
        host=host,
        offers_tls=True,
        version=channel.version(),
        not_after=_not_after(channel),
        certificates=certificates,
        has_complete_chain=is_complete,
    )


def _served(channel: ssl.SSLObject) -> tuple[tuple[bytes, ...], bool]:
    """The certificates that the host sent, and whether they are all that it sent.

    Before Python 3.13 the ssl module provides only the host's own certificate.
    """
    if sys.version_info >= (3, 13):
        sent = channel.get_unverified_chain()
    else:
        own = channel.getpeercert(binary_form=True)
        sent = [own] if own else []
    bounded = tuple(sent[:MAX_CERTIFICATES])
    if any(len(der) > MAX_CERTIFICATE_BYTES for der in bounded):
        return (), False
    return bounded, sys.version_info >= (3, 13) and len(sent) <= MAX_CERTIFICATES


def _not_after(channel: ssl.SSLObject) -> str | None:
    with suppress(KeyError, TypeError, ValueError):
        seconds = ssl.cert_time_to_seconds(str((channel.getpeercert() or {})["notAfter"]))
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None
