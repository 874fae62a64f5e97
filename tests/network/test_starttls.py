"""STARTTLS probes of mail hosts on loopback."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
import uvloop
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Subject
from app.checks.transport.dane import dane
from app.network.http import special_addresses
from app.network.smtp.starttls import MAX_CERTIFICATES, Prober
from app.ports.dns import LookupFailed, Tlsa
from app.ports.smtp import TlsProbe
from app.protocols.names import DomainName
from app.protocols.transport import certificates
from devtools.processes import free_port
from tests.support.zones import Zone

HOST = "mx.acme.test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ADDRESS = Zone({(HOST, "A"): ["127.0.0.1"]})
T = TypeVar("T")
OFFERS = b"250-mx.acme.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


class Host:
    """A mail host with a greeting, an EHLO response and a certificate."""

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        greeting: bytes = b"220-hello\r\n220 mx.acme.test\r\n",
        offers: bytes = OFFERS,
    ) -> None:
        self.context, self.greeting, self.offers = context, greeting, offers
        self.received_lines: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        try:
            self.received_lines.append(await reader.readline())
            writer.write(self.offers)
            self.received_lines.append(await reader.readline())
            if self.received_lines[-1] and self.context:
                writer.write(b"220 go ahead\r\n")
                await writer.drain()
                await writer.start_tls(self.context)
                await reader.read(1)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def probe(
    host: Host,
    *,
    allowed: Sequence[special_addresses.Network] = LOOPBACK,
    addresses: Sequence[str] = ("127.0.0.1",),
    seconds: float = 10,
) -> TlsProbe:
    async def main() -> TlsProbe:
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            prober = Prober("scanner.test", allowed, port=port, seconds=seconds)
            return await prober.probe(Zone({(HOST, "A"): list(addresses)}), HOST)

    return run(main())


def certified(
    authority: trustme.CA, *names: str, not_after: datetime.datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


def test_valid_certificate_is_reported_with_expiry(authority: trustme.CA) -> None:
    host = Host(certified(authority, HOST))
    handshake = probe(host)
    assert (handshake.offers_tls, handshake.version, handshake.problem) == (True, "TLSv1.3", None)
    assert handshake.not_after is not None
    assert datetime.datetime.fromisoformat(handshake.not_after).tzinfo is not None
    assert host.received_lines == [b"EHLO scanner.test\r\n", b"STARTTLS\r\n"]


def test_session_ends_if_host_does_not_offer_tls() -> None:
    host = Host(offers=b"250 mx.acme.test\r\n")
    assert probe(host) == TlsProbe(HOST, offers_tls=False)
    assert host.received_lines == [b"EHLO scanner.test\r\n", b""]


def test_certificate_for_another_name_is_reported(authority: trustme.CA) -> None:
    assert probe(Host(certified(authority, "other.test"))).problem == "host_mismatch"


def test_expired_certificate_is_reported(authority: trustme.CA) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert probe(Host(certified(authority, HOST, not_after=past))).problem == "expired"


def test_certificate_of_unknown_ca_is_reported() -> None:
    assert probe(Host(certified(trustme.CA(), HOST))).problem == "untrusted"


@pytest.mark.parametrize("problem", [None, "host_mismatch", "untrusted", "expired"])
def test_certificate_is_read_even_if_it_is_rejected(
    authority: trustme.CA, problem: str | None
) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    issuer = trustme.CA() if problem == "untrusted" else authority
    certificate = issuer.issue_cert(
        "other.test" if problem == "host_mismatch" else HOST,
        not_after=past if problem == "expired" else None,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    seen = probe(Host(context))
    assert seen.problem == problem
    assert seen.certificates == (der_of(certificate.cert_chain_pems[0]),)
    assert seen.has_complete_chain


def test_all_certificates_of_the_host_are_read_in_one_session(authority: trustme.CA) -> None:
    intermediate = authority.create_child_ca().create_child_ca()
    certificate = intermediate.issue_cert(HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    host = Host(context)
    seen = probe(host)
    assert seen.certificates == tuple(map(der_of, certificate.cert_chain_pems))
    assert len(seen.certificates) == 3
    assert (seen.problem, seen.has_complete_chain) == (None, True)
    assert host.received_lines == [b"EHLO scanner.test\r\n", b"STARTTLS\r\n"]


@pytest.mark.parametrize(("intermediates", "is_complete"), [(7, True), (8, False)])
def test_number_of_stored_certificates_is_limited(
    authority: trustme.CA, intermediates: int, is_complete: bool
) -> None:
    issuer = authority
    for _ in range(intermediates):
        issuer = issuer.create_child_ca()
    seen = probe(Host(certified(issuer, HOST)))
    assert len(seen.certificates) == MAX_CERTIFICATES
    assert seen.has_complete_chain is is_complete


def test_certificates_that_are_too_large_are_not_stored(authority: trustme.CA) -> None:
    names = [f"{number:060}.{number:060}.{number:060}.test" for number in range(100)]
    seen = probe(Host(certified(authority, HOST, *names)))
    assert (seen.offers_tls, seen.certificates, seen.has_complete_chain) == (True, (), False)


def test_handshake_without_an_end_is_undetermined(authority: trustme.CA) -> None:
    names = [f"{number:060}.{number:060}.{number:060}.test" for number in range(1000)]
    with pytest.raises(LookupFailed, match="SMTP: garbage"):
        probe(Host(certified(authority, HOST, *names)))


def test_host_without_a_secure_version_of_tls_is_reported(authority: trustme.CA) -> None:
    context = certified(authority, HOST)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve_once, args=(listener, context))
        thread.start()
        seen = run(Prober("scanner.test", LOOPBACK, port=port).probe(ADDRESS, HOST))
        thread.join()
    assert (seen.offers_tls, seen.problem, seen.certificates) == (True, "version", ())


def serve_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one session with blocking sockets, which send the alert of a failed handshake."""
    connection, _ = listener.accept()
    connection.sendall(b"220 mx.acme.test\r\n")
    connection.recv(1000)
    connection.sendall(OFFERS)
    connection.recv(1000)
    connection.sendall(b"220 go ahead\r\n")
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        context.wrap_socket(connection, server_side=True)
    connection.close()


def test_reply_in_plain_text_is_no_handshake() -> None:
    class Plain(Host):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(self.greeting + self.offers + b"220 go ahead\r\n454 not now, sorry\r\n")
            await reader.read(10_000)
            await reader.read(10_000)
            writer.close()

    with pytest.raises(LookupFailed, match="SMTP: garbage"):
        probe(Plain())


class Greeter:
    """The handler of a real SMTP server that accepts no mail."""

    async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 - the name that aiosmtpd calls
        return "550 no mailbox here"


ROOT = trustme.CA()  # a private CA, as is common with DANE
CA = ROOT.create_child_ca()
SERVED = CA.issue_cert(HOST)  # sent with the certificate of CA, without that of ROOT
EXPIRED = CA.issue_cert(HOST, not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
UNNAMED = CA.issue_cert("other.test")
DOMAIN = CA.issue_cert("acme.test")
OTHER = trustme.CA()


def der_of(pem: trustme.Blob) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.bytes().decode())


def tlsa(usage: int, selector: int, matching: int, pem: trustme.Blob) -> Tlsa:
    data = certificates.load(der_of(pem)).association_data(selector, matching)
    return Tlsa(usage=usage, selector=selector, matching=matching, data=data)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize(
    ("served", "usage", "described", "results"),
    [
        (SERVED, 3, SERVED.cert_chain_pems[0], {"match"}),
        (SERVED, 3, CA.cert_pem, {"mismatch"}),
        (SERVED, 2, CA.cert_pem, {"match"}),
        (SERVED, 2, OTHER.cert_pem, {"mismatch"}),
        # The host does not send it, so only a record that contains it can be verified.
        (SERVED, 2, ROOT.cert_pem, {"match", "mismatch"}),
        (SERVED, 2, SERVED.cert_chain_pems[0], {"undetermined"}),
        (EXPIRED, 3, EXPIRED.cert_chain_pems[0], {"match"}),
        (EXPIRED, 2, CA.cert_pem, {"mismatch"}),
        (UNNAMED, 3, UNNAMED.cert_chain_pems[0], {"match"}),
        (UNNAMED, 2, CA.cert_pem, {"mismatch"}),
        (DOMAIN, 2, CA.cert_pem, {"match"}),
    ],
)
def test_records_of_a_mail_server_are_compared_with_all_certificates_that_it_sends(
    served: trustme.LeafCert,
    usage: int,
    described: trustme.Blob,
    results: set[str],
    selector: int,
    matching: int,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.configure_cert(context)
    port = free_port()
    server = Controller(Greeter(), hostname="127.0.0.1", port=port, tls_context=context)
    server.start()
    try:
        result = compare(port, [tlsa(usage, selector, matching, described)])
    finally:
        server.stop()
    expected = results if len(results) == 1 else {"match" if matching == 0 else "mismatch"}
    assert {result.facts["certificates"][HOST]["result"]} == expected
    finding_codes = {finding.kind.code for finding in result.findings}
    assert ("dane.certificate_mismatch" in finding_codes) is (expected == {"mismatch"})


def compare(port: int, records: Sequence[Tlsa]) -> CheckResult:
    """Scan the signed zone, probe the server at the port, and scan again."""
    zone = Zone(
        {
            ("acme.test", "MX"): [f"10 {HOST}"],
            (HOST, "A"): ["127.0.0.1"],
            (f"_25._tcp.{HOST}", "TLSA"): list(records),
        },
        authenticated=True,
    )

    async def main() -> CheckResult:
        now = datetime.datetime.now(datetime.UTC)
        subject = Subject(DomainName("acme.test"), tls_probes={}, now=now)
        first = await run_check(dane, subject, zone)
        seen = await Prober("scanner.test", LOOPBACK, port=port).probe(zone, HOST)
        stored = seen._replace(probed_at=now + datetime.timedelta(minutes=1))
        later = replace(subject, tls_probes={HOST: stored}, last_facts={"dane": first.facts})
        return await run_check(dane, later, zone)

    return run(main())


@pytest.mark.parametrize(
    ("bits", "use", "failure"),
    [
        (1024, ExtendedKeyUsageOID.SERVER_AUTH, "weak_key"),
        (2048, ExtendedKeyUsageOID.CODE_SIGNING, "key_usage"),
        (2048, ExtendedKeyUsageOID.SERVER_AUTH, None),
    ],
)
def test_rejected_certificate_is_reported_with_reason(
    authority: trustme.CA, tmp_path: Path, bits: int, use: x509.ObjectIdentifier, failure: str
) -> None:
    key = rsa.generate_private_key(65537, bits)
    signer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(issuer, x509.Name([]), key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = tmp_path / "host.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    pem.write_bytes(plain + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # the default level does not allow such a key
    context.load_cert_chain(pem)
    assert probe(Host(context)).problem == failure


@pytest.mark.parametrize(
    "host",
    [
        Host(greeting=b"554 go away\r\n"),
        Host(greeting=b"220-" + b"x" * 5000),
        Host(greeting=b"220-hello\r\n" * 200),
        Host(greeting=b"\xff\xfe\r\n"),
        Host(offers=b"502 what\r\n"),
        Host(),  # offers STARTTLS, then closes the connection
    ],
)
def test_failed_session_is_undetermined(host: Host) -> None:
    with pytest.raises(LookupFailed, match=r"SMTP: (network|garbage)"):
        probe(host)


def test_silent_host_times_out() -> None:
    with pytest.raises(LookupFailed, match="SMTP: timeout"):
        probe(Host(greeting=b""), seconds=0.3)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["192.0.2.1", "198.51.100.1"], []])
def test_non_public_address_is_not_connected_to(addresses: list[str]) -> None:
    host = Host()
    with pytest.raises(LookupFailed, match=r"SMTP: (refused_address|no_address)"):
        probe(host, allowed=(), addresses=addresses)
    assert host.received_lines == []
