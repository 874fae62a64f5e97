"""A name server on loopback, built on dnspython, that can also fail and send forged responses.

    with Nameserver({("acme.test", "A"): ["192.0.2.1"]}, {"slow.test": Failure.SILENT}) as server:
        ...server.address...

``server.queried`` lists (name, type) of all queries in order, over UDP and TCP; ``server.spelled``
has the names in UDP queries with their original case.
"""

import socketserver
import threading
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

SOA = "ns.test. host.test. 7 3600 600 86400 60"
SPOOFED_ADDRESS = "198.51.100.66"


class Failure(Enum):
    """The fault for a name; the real response follows a forged one."""

    SERVFAIL = auto()
    REFUSED = auto()
    SILENT = auto()
    GARBAGE = auto()  # without a real response
    REFERRAL = auto()
    TRUNCATED = auto()  # over UDP
    HELD = auto()  # until ``release`` is set
    WRONG_ID = auto()
    WRONG_SOURCE = auto()
    WRONG_QUESTION = auto()
    ANOTHER_CASE = auto()  # a real response with the case of every letter changed
    MISSPELT = auto()  # a forged response with wrong case; the real response is sent over TCP


class Nameserver:
    """Serves ``records``, in presentation format by (name, type), from a thread.

    follows        follow its own aliases, like a resolver
    authenticated  set the AD bit
    authoritative  set the AA bit
    has_tcp        also listen on TCP
    address        listening address; port 0: any port
    """

    def __init__(
        self,
        records: Mapping[tuple[str, str], Sequence[str]],
        failures: Mapping[str, Failure] | None = None,
        *,
        follows: bool = True,
        authenticated: bool = False,
        authoritative: bool = False,
        has_tcp: bool = True,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.records, self.failures = records, failures or {}
        self.follows, self.authenticated = follows, authenticated
        self.authoritative = authoritative
        self.queried: list[tuple[str, str]] = []
        self.spelled: list[str] = []
        self.flags: list[int] = []
        self.release = threading.Event()
        udp, tcp = _bound(self, address)
        self._servers = (udp, tcp) if has_tcp else (udp,)
        if not has_tcp:
            tcp.server_close()
        self.address: tuple[str, int] = udp.server_address

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def responses(self, wire: bytes, *, by_tcp: bool) -> list[tuple[bytes, bool]]:
        """The responses in order, and whether each is sent from another port."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.queried.append((name, question.rdtype.name))
        self.flags.append(int(query.flags))
        if not by_tcp:
            self.spelled.append(question.name.to_text(omit_final_dot=True))
        failure = self.failures.get(name)
        if failure in (Failure.SILENT, Failure.GARBAGE):
            return [(wire[:2] + b"\x80", False)] if failure is Failure.GARBAGE else []
        if failure is Failure.HELD:
            self.release.wait(10)
        real_response = self._real_response(query, name, failure)
        if failure is Failure.TRUNCATED and not by_tcp:
            real_response.answer.clear()
            real_response.flags |= dns.flags.TC
        if failure is Failure.MISSPELT and not by_tcp:
            real_response.answer = [_rrset(name, "A", [SPOOFED_ADDRESS])]
            real_response.question = [_with_changed_case(question)]
        spoofed = self._spoofed_responses(query, failure)
        return [*spoofed, (real_response.to_wire(), False)]

    def _real_response(
        self, query: dns.message.Message, name: str, failure: Failure | None
    ) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        if self.authenticated:
            response.flags |= dns.flags.AD
        if self.authoritative:
            response.flags |= dns.flags.AA
        if failure is Failure.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif failure is Failure.REFUSED:
            response.set_rcode(dns.rcode.REFUSED)
        elif failure is Failure.REFERRAL:
            response.authority.append(_rrset(name, "NS", ["ns.elsewhere.test."]))
        else:
            self._answer(response, name, query.question[0].rdtype.name)
        if failure is Failure.ANOTHER_CASE:
            response.question = [_with_changed_case(response.question[0])]
        return response

    def _answer(self, response: dns.message.Message, name: str, rdtype: str) -> None:
        for _ in range(20):
            alias = self.records.get((name, "CNAME"))
            if not alias or rdtype == "CNAME":
                break
            response.answer.append(_rrset(name, "CNAME", alias))
            name = alias[0].removesuffix(".")
            if not self.follows:
                return
        if values := self.records.get((name, rdtype)):
            response.answer.append(_rrset(name, rdtype, values))
            return
        response.authority.append(_rrset("test", "SOA", [SOA]))
        if not any(owner == name or owner.endswith(f".{name}") for owner, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    def _spoofed_responses(
        self, query: dns.message.Message, failure: Failure | None
    ) -> list[tuple[bytes, bool]]:
        question = query.question[0]
        lie = dns.message.make_response(query, recursion_available=True)
        if failure is Failure.WRONG_ID:
            lie.id = query.id ^ 1
        elif failure is Failure.WRONG_QUESTION:
            other = dns.name.from_text("other.test")
            lie.question = [dns.rrset.RRset(other, question.rdclass, question.rdtype)]
        elif failure is not Failure.WRONG_SOURCE:
            return []
        lie.answer = [_rrset(question.name.to_text(), "A", [SPOOFED_ADDRESS])]
        return [(lie.to_wire(), failure is Failure.WRONG_SOURCE)]


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 4096
    nameserver: Nameserver


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    nameserver: Nameserver


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, own = self.request
        assert isinstance(self.server, _Udp)
        for response, from_elsewhere in self.server.nameserver.responses(data, by_tcp=False):
            if not from_elsewhere:
                own.sendto(response, self.client_address)
                continue
            with _Udp(("127.0.0.1", 0), _UdpHandler) as other:
                other.socket.sendto(response, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Tcp)
        size = int.from_bytes(self.rfile.read(2))
        for response, _ in self.server.nameserver.responses(self.rfile.read(size), by_tcp=True):
            self.wfile.write(len(response).to_bytes(2) + response)


def _with_changed_case(question: dns.rrset.RRset) -> dns.rrset.RRset:
    """Return the question with the case of every letter changed, so it always differs."""
    name = dns.name.from_text(question.name.to_text().swapcase())
    return dns.rrset.RRset(name, question.rdclass, question.rdtype)


def _bound(nameserver: Nameserver, address: tuple[str, int]) -> tuple[Any, Any]:
    """A UDP and a TCP server on one port; the port of the first may be in use for the second."""
    while True:
        udp = _Udp(address, _UdpHandler)
        try:
            tcp = _Tcp(udp.server_address, _TcpHandler)
        except OSError:
            udp.server_close()
            continue
        udp.nameserver = tcp.nameserver = nameserver
        return udp, tcp


def _rrset(name: str, rdtype: str, texts: Sequence[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(dns.name.from_text(name), 300, "IN", rdtype, list(texts))
