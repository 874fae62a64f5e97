"""The policy server of the demo behind its proxy, and the complete demo."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dns.resolver
import pytest

from app.services.domains.demo import SAMPLES
from demo.policies import HUGE, PATH, Failure, PolicyServer
from demo.samples import DOMAINS, POLICIES, POLICY_FAULTS
from tests.support.paths import ROOT

ADDRESS = "203.0.113.80"
SECONDS = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[PolicyServer]:
    with PolicyServer(POLICIES, POLICY_FAULTS) as running:
        yield running


def connect(port: int, target: str) -> tuple[socket.socket, bytes]:
    """Return a connection to the proxy, and its reply to CONNECT."""
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    reply = b""
    while b"\r\n\r\n" not in reply and (chunk := connection.recv(4096)):
        reply += chunk
    return connection, reply


def get(port: int, context: ssl.SSLContext, domain: str, path: str = PATH) -> bytes:
    """Return the response of ``https://mta-sts.<domain>`` through the proxy."""
    connection, reply = connect(port, f"{ADDRESS}:443")
    with connection:
        assert reply.startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(connection, server_hostname=f"mta-sts.{domain}") as secure:
            secure.sendall(f"GET {path} HTTP/1.1\r\nHost: mta-sts.{domain}\r\n\r\n".encode())
            answer = b""
            while chunk := secure.recv(65536):
                answer += chunk
            return answer


def trusting(server: PolicyServer) -> ssl.SSLContext:
    """Return a client context that trusts only the authority of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.authority.trust(context)
    return context


def test_policy_is_served_through_the_proxy(server: PolicyServer) -> None:
    head, _, body = get(server.port, trusting(server), "perfect.example").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain")
    assert body == (POLICIES / "perfect.example.txt").read_bytes()


@pytest.mark.parametrize(("domain", "verify_code"), [("expired.test", 10), ("wrongname.test", 62)])
def test_each_bad_certificate_fails_verification_as_documented(
    server: PolicyServer, domain: str, verify_code: int
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        get(server.port, trusting(server), domain)
    assert caught.value.verify_code == verify_code


def test_demo_authority_is_not_trusted_by_default(server: PolicyServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        get(server.port, ssl.create_default_context(), "perfect.example")


@pytest.mark.parametrize(
    ("domain", "path", "status"),
    [
        ("moved.test", PATH, b"301 Moved Permanently"),
        ("nopolicy.test", PATH, b"404 Not Found"),
        ("perfect.example", "/", b"404 Not Found"),
    ],
)
def test_policy_can_redirect_or_be_missing(
    server: PolicyServer, domain: str, path: str, status: bytes
) -> None:
    answer = get(server.port, trusting(server), domain, path)
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_policy_can_be_oversized(server: PolicyServer) -> None:
    assert len(get(server.port, trusting(server), "huge.test")) > HUGE


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("203.0.113.80:443", b"200"),
        ("[2001:db8::1]:443", b"200"),
        ("mta-sts.perfect.example:443", b"200"),
        ("203.0.113.80:25", b"403"),
        ("127.0.0.1:443", b"403"),
        ("[::1]:443", b"403"),
        ("example.org:443", b"403"),
        ("nonsense", b"403"),
    ],
)
def test_the_proxy_connects_to_documentation_addresses_only(
    server: PolicyServer, target: str, status: bytes
) -> None:
    connection, reply = connect(server.port, target)
    connection.close()
    assert reply.split(b" ")[1] == status


def test_non_http_connection_is_closed(server: PolicyServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(4096) == b""


async def test_server_closes_with_an_open_connection() -> None:
    async with PolicyServer(POLICIES, {"perfect.example": Failure.MISSING}) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()


def test_demo_prints_its_addresses_and_stops_on_sigterm() -> None:
    with subprocess.Popen([sys.executable, "-m", "demo"], cwd=ROOT, stdout=-1) as process:
        assert process.stdout
        reply: dict[str, str] = json.loads(process.stdout.readline())
        try:
            resolver = dns.resolver.Resolver(configure=False)
            host, _, port = reply["DNS_NAMESERVERS"].partition(":")
            resolver.nameservers, resolver.port = [host], int(port)
            assert len(resolver.resolve("perfect.example.", "MX")) == 2
            trusted = ssl.create_default_context(cafile=reply["SSL_CERT_FILE"])
            proxy = int(reply["EGRESS_PROXY"].rpartition(":")[2])
            assert b"mode: enforce" in get(proxy, trusted, "perfect.example")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    assert not os.path.exists(reply["SSL_CERT_FILE"])
    assert reply["DEMO_DOMAINS"].split(",") == list(DOMAINS) == list(SAMPLES)


def test_the_demo_ends_with_its_parent() -> None:
    parent = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-m', 'demo'], stdout=subprocess.PIPE);"
        "assert child.stdout.readline(); print(child.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", parent], cwd=ROOT, capture_output=True, check=True
    )
    assert _ends(int(done.stdout))


def _ends(pid: int) -> bool:
    """Whether a process that is not our child ends in time."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and _is_zombie(pid):
            return True
        time.sleep(0.05)
    return False


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
