"""The demo's policy server, reached through its proxy as a scanner does; and the demo whole."""

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
from demo.policies import HUGE, PATH, PolicyServer, Trouble
from demo.samples import DOMAINS, POLICIES, POLICY_FAULTS

ROOT = Path(__file__).parents[2]
ADDRESS = "203.0.113.80"
SECONDS = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[PolicyServer]:
    with PolicyServer(POLICIES, POLICY_FAULTS) as running:
        yield running


def connect(port: int, target: str) -> tuple[socket.socket, bytes]:
    """A connection to the proxy, and what it said to CONNECT."""
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    said = b""
    while b"\r\n\r\n" not in said and (chunk := connection.recv(4096)):
        said += chunk
    return connection, said


def get(port: int, context: ssl.SSLContext, domain: str, path: str = PATH) -> bytes:
    """The whole answer of ``https://mta-sts.<domain>`` through the proxy."""
    connection, said = connect(port, f"{ADDRESS}:443")
    with connection:
        assert said.startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(connection, server_hostname=f"mta-sts.{domain}") as secure:
            secure.sendall(f"GET {path} HTTP/1.1\r\nHost: mta-sts.{domain}\r\n\r\n".encode())
            answer = b""
            while chunk := secure.recv(65536):
                answer += chunk
            return answer


def trusting(server: PolicyServer) -> ssl.SSLContext:
    """A client's context that trusts the server's authority and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.authority.trust(context)
    return context


def test_a_policy_is_served_through_the_proxy(server: PolicyServer) -> None:
    head, _, body = get(server.port, trusting(server), "perfect.example").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain")
    assert body == (POLICIES / "perfect.example.txt").read_bytes()


@pytest.mark.parametrize(("domain", "verify_code"), [("expired.test", 10), ("wrongname.test", 62)])
def test_a_bad_certificate_is_bad_in_its_own_way(
    server: PolicyServer, domain: str, verify_code: int
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        get(server.port, trusting(server), domain)
    assert caught.value.verify_code == verify_code


def test_nobody_trusts_it_by_accident(server: PolicyServer) -> None:
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
def test_a_policy_can_be_elsewhere_or_nowhere(
    server: PolicyServer, domain: str, path: str, status: bytes
) -> None:
    answer = get(server.port, trusting(server), domain, path)
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_a_policy_can_be_huge(server: PolicyServer) -> None:
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
    connection, said = connect(server.port, target)
    connection.close()
    assert said.split(b" ")[1] == status


def test_what_is_no_http_is_hung_up_on(server: PolicyServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(4096) == b""


async def test_it_closes_while_somebody_is_connected() -> None:
    async with PolicyServer(POLICIES, {"perfect.example": Trouble.MISSING}) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()


def test_the_demo_says_where_it_is_and_ends_when_told() -> None:
    with subprocess.Popen([sys.executable, "-m", "demo"], cwd=ROOT, stdout=-1) as process:
        assert process.stdout
        said: dict[str, str] = json.loads(process.stdout.readline())
        try:
            resolver = dns.resolver.Resolver(configure=False)
            host, _, port = said["DNS_NAMESERVERS"].partition(":")
            resolver.nameservers, resolver.port = [host], int(port)
            assert len(resolver.resolve("perfect.example.", "MX")) == 2
            trusted = ssl.create_default_context(cafile=said["SSL_CERT_FILE"])
            proxy = int(said["EGRESS_PROXY"].rpartition(":")[2])
            assert b"mode: enforce" in get(proxy, trusted, "perfect.example")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    assert not os.path.exists(said["SSL_CERT_FILE"])
    assert said["DEMO_DOMAINS"].split(",") == list(DOMAINS) == list(SAMPLES)


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
    """Does this process, a child of nobody here, end in time?"""
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
