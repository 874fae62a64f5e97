"""``serving``: BIND as a resolver with its default limits, and the zones that it forwards to."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from demo.fault_injection import Behavior, Fault, Slow
from demo.nameserver import NameServer
from devtools.processes import end_with_parent, free_port
from tests.support.reference_zones import FOLDER

NAMED = shutil.which("named", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
START_SECONDS = 30
_CONFIGURATION = """
options {{
    directory "{directory}";
    pid-file none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    empty-zones-enable no;
    dnssec-validation no;
    forward only;
    forwarders {{ {upstream} port {upstream_port}; }};
}};
controls {{ }};
"""
_HOME = """$ORIGIN {domain}.
$TTL 300
@ IN SOA ns1.hosting.test. hostmaster.hosting.test. 1 3600 900 1209600 300
@ IN NS ns1.hosting.test.
@ IN NS ns2.hosting.test.
@ IN MX 10 mx.{domain}.
@ IN A 198.51.100.20
mx IN A 198.51.100.21
@ IN TXT "v=spf1 include:_spf.{domain}. mx -all"
_spf IN TXT "v=spf1 ip4:198.51.100.0/28 -all"
_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{domain}"
_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:tls@{domain}"
"""


@contextmanager
def zones(generated: int, delay: float) -> Iterator[NameServer]:
    """The zones of tests/data/zones and generated ones; each answer is ``delay`` seconds late."""
    with tempfile.TemporaryDirectory() as directory:
        for path in FOLDER.glob("*.zone"):
            shutil.copy(path, directory)
        for number in range(generated):
            domain = generated_domain(number)
            Path(directory, f"{domain}.zone").write_text(_HOME.format(domain=domain))
        faults: dict[str | tuple[str, str], Fault] = {
            name: Slow(delay) for name in ("test", "example", "arpa", "invalid")
        }
        with NameServer(Path(directory), Behavior(faults=faults)) as server:
            yield server


def generated_domain(number: int) -> str:
    """The name of a generated domain, whose checks need about 30 questions."""
    return f"home{number}.test"


@contextmanager
def serving(upstream: NameServer) -> Iterator[tuple[str, int]]:
    """The address of a BIND that forwards to this server; nothing is cached at the start."""
    if NAMED is None:
        raise FileNotFoundError("BIND is not installed: apt-get install bind9")
    with tempfile.TemporaryDirectory() as directory:
        address = ("127.0.0.1", free_port())
        path = Path(directory, "named.conf")
        path.write_text(
            _CONFIGURATION.format(
                directory=directory,
                port=address[1],
                upstream=upstream.address,
                upstream_port=upstream.port,
            )
        )
        with Path(directory, "log").open("wb") as log:
            process = subprocess.Popen(
                [NAMED, "-g", "-c", str(path)],
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
            try:
                _wait(process, address, Path(directory, "log"))
                yield address
            finally:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: tuple[str, int], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            query = dns.message.make_query("version.bind.", "TXT", "CH")
            dns.query.udp(query, address[0], timeout=0.2, port=address[1])
        except (dns.exception.DNSException, OSError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"BIND did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
