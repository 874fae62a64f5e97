"""A name server for benchmarks: generated domains and prebuilt answers, in its own process.

It must be many times faster than its clients, so it only looks up bytes. All domains are alike but
share no names, so that no cached answer is useful for another domain.
"""

import multiprocessing
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "CAA": 257}
TTL = 300
SELECTORS = ("s1", "s2")
BATCH_SIZE = 64  # datagrams read before due answers are sent
BUFFER = 8 * 1024 * 1024
MAX_ATTEMPTS = 20
RSA = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn9rxjqwI1xS7IT6tMHB1ZH4YPlTodyuBP0qe8yl/BU8c"
    "/oYeUZxeaqucbpykEuOuk55B5124Bkj4uGobkVxzZftkiNrihtZ5vJ/z2FpTVp5T1lYdb364//t+VwtWSSPNNLef"
    "xEKE9hWrLvyMl331VbY5mJTN7Qx4NQkA86otDFjppbTI9HnugzgdN0zfIjMnP6Ora+ZRxHlhcuBEFOHczCcQfoo9"
    "NnPnh52E28Ai02oUW0Utw2WeNxnCP1lgSTeKmKifUscStvlhZb8ykvHcyIwi6CkdnhZsWVlZYIDlMgke1VFi4v70"
    "DgOS4JNK4TcPKGdM3f4poauTtBOQd6fhxwIDAQAB"
)

Entry = tuple[bytes, bytes]  # flags and counts; the records


@dataclass(frozen=True, slots=True)
class Server:
    """A running name server."""

    port: int
    _count: Any

    @property
    def count(self) -> int:
        """The number of queries answered so far."""
        return int(self._count.value)


@contextmanager
def answering(domains: int, delay: float) -> Iterator[Server]:
    """A server for ``domain(0)`` … on loopback, each answer ``delay`` seconds late.

    raises  RuntimeError if it ends before it answers; the reason is on stderr
    """
    count = multiprocessing.RawValue("Q", 0)
    ours, theirs = multiprocessing.Pipe()
    arguments = (domains, delay, theirs, count)
    process = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()  # otherwise the end of the connection is not detected
    try:
        try:
            port = ours.recv()
        except EOFError:
            raise RuntimeError(
                "the name server ended before it had a port; see its output above"
            ) from None
        yield Server(port, count)
    finally:
        process.kill()
        process.join()


def domain(number: int) -> str:
    """The name of one domain."""
    return f"d{number}.example"


def _key(number: int, turn: int) -> str:
    """A public key that is unique to the domain."""
    own = f"{number:06d}{turn}/"  # in the middle of the modulus
    return RSA[:200] + own + RSA[200 + len(own) :]


def records(number: int) -> Iterator[tuple[str, str, bytes]]:
    """All records of one domain: name, type, data."""
    own = domain(number)
    block = f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}"
    texts = {
        "": [
            f"v=spf1 include:_spf1.{own} include:_spf2.{own} ip4:{block}.0/24 -all",
            "x=1",
        ],
        "_spf1.": [f"v=spf1 include:_spf3.{own} ip4:{block}.0/26 -all"],
        "_spf2.": [f"v=spf1 ip4:{block}.64/26 ip6:2001:db8::/64 -all"],
        "_spf3.": [f"v=spf1 ip4:{block}.128/26 -all"],
        "_dmarc.": [f"v=DMARC1; p=reject; rua=mailto:dmarc@{own}; ruf=mailto:ruf@{own}"],
        "_smtp._tls.": [f"v=TLSRPTv1; rua=mailto:tls@{own}"],
        **{
            f"{selector}._domainkey.": [f"v=DKIM1; k=rsa; p={_key(number, turn)}"]
            for turn, selector in enumerate(SELECTORS)
        },
    }
    for prefix, values in texts.items():
        for value in values:
            yield prefix + own, "TXT", _text(value)
    yield own, "SOA", _soa(own)
    yield own, "CAA", b"\0\5issueca.example"
    for turn in (1, 2):
        address = f"{block}.{turn}"
        reverse = ".".join(reversed(address.split(".")))
        yield own, "NS", _name(f"ns{turn}.{own}")
        yield own, "MX", struct.pack("!H", 10 * turn) + _name(f"mx{turn}.{own}")
        yield f"{reverse}.in-addr.arpa", "PTR", _name(f"mx{turn}.{own}")
        for host in (f"mx{turn}.{own}", f"ns{turn}.{own}"):
            yield host, "A", socket.inet_aton(address)
    yield own, "A", socket.inet_aton(f"{block}.3")


def _name(name: str) -> bytes:
    labels = name.encode().split(b".") if name else []
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _text(value: str) -> bytes:
    octets = value.encode()
    parts = (octets[at : at + 255] for at in range(0, len(octets), 255))
    return b"".join(bytes((len(part),)) + part for part in parts)


def _soa(zone: str) -> bytes:
    return (
        _name(f"ns1.{zone}") + _name(f"root.{zone}") + struct.pack("!5I", 1, 7200, 900, 9999, TTL)
    )


class _Responses:
    """All answers by question in wire format, without its class."""

    def __init__(self, domains: int) -> None:
        self._zones, self._names = {b"\0", _name("example")}, {b"\0", _name("example")}
        records_by_question: dict[bytes, list[bytes]] = {}
        apexes = (("example", "SOA", _soa("example")), ("example", "NS", _name("ns.example")))
        for number in range(-1, domains):
            for name, rdtype, data in records(number) if number >= 0 else apexes:
                self._note(name, rdtype)
                question = _name(name) + struct.pack("!H", TYPES[rdtype])
                head = b"\xc0\x0c" + struct.pack("!HHIH", TYPES[rdtype], 1, TTL, len(data))
                records_by_question.setdefault(question, []).append(head + data)
        self._entries: dict[bytes, Entry] = {
            question: (struct.pack("!5H", 0x8180, 1, len(all), 0, 0), b"".join(all))
            for question, all in records_by_question.items()
        }

    def response(self, data: bytes) -> bytes:
        """The whole answer to a query."""
        behind = data.index(b"\0", 12) + 5
        question = data[12 : behind - 2].lower()
        head, tail = self._entries.get(question) or self._nothing(question)
        return b"".join((data[:2], head, data[12:behind], tail))

    def _nothing(self, question: bytes) -> Entry:
        """The negative answer to a question."""
        name = question[:-2]
        code = 0x8180 if name in self._names else 0x8183
        while name not in self._zones:
            name = name[name[0] + 1 :]
        soa = _soa("example")
        data = name + struct.pack("!HHIH", TYPES["SOA"], 1, TTL, len(soa)) + soa
        return struct.pack("!5H", code, 1, 0, 1, 0), data

    def _note(self, name: str, rdtype: str) -> None:
        if rdtype == "SOA":
            self._zones.add(_name(name))
        wire = _name(name)
        while wire not in self._names:
            self._names.add(wire)
            wire = wire[wire[0] + 1 :]


def _serve(domains: int, delay: float, pipe: Connection, count: Any) -> None:
    responses = _Responses(domains)
    own, listener = _sockets()
    threading.Thread(
        target=_serve_tcp, args=(listener, responses, delay, count), daemon=True
    ).start()
    pipe.send(own.getsockname()[1])
    late: deque[tuple[float, bytes, Any]] = deque()
    while True:
        rest = max(late[0][0] - time.monotonic(), 0.0) if late else None
        select.select([own], [], [], rest)
        count.value += _read(own, responses, late, time.monotonic() + delay)
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, response, address = late.popleft()
            own.sendto(response, address)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on a port that is free for both.

    raises  OSError if there is none after many attempts
    """
    for _ in range(MAX_ATTEMPTS):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        own.bind(("127.0.0.1", 0))
        own.setblocking(False)
        try:
            return own, socket.create_server(own.getsockname(), backlog=512)
        except OSError:  # the TCP port is in use
            own.close()
    raise OSError(f"no port is free for both UDP and TCP, of {MAX_ATTEMPTS}")


def _read(own: socket.socket, responses: _Responses, late: deque[Any], due: float) -> int:
    """Read queries and queue their answers; returns the number of queries."""
    for number in range(BATCH_SIZE):
        try:
            data, address = own.recvfrom(4096)
        except BlockingIOError:
            return number
        late.append((due, responses.response(data), address))
    return BATCH_SIZE


def _serve_tcp(listener: socket.socket, responses: _Responses, delay: float, count: Any) -> None:
    """Answer over TCP for checkdmarc, which queries DNSSEC records over TCP."""
    while True:
        connection, _ = listener.accept()
        count.value += 1
        threading.Thread(
            target=_answer_tcp, args=(connection, responses, delay), daemon=True
        ).start()


def _answer_tcp(connection: socket.socket, responses: _Responses, delay: float) -> None:
    with connection, connection.makefile("rwb") as stream:
        data = stream.read(int.from_bytes(stream.read(2)))
        response = responses.response(data)
        time.sleep(delay)  # once, although the handshake would take as long again
        stream.write(len(response).to_bytes(2) + response)
