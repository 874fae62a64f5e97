"""A primary name server that applies dynamic updates (RFC 2136), for nsupdate."""

import socket
import socketserver
import threading
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update
import dns.zone
from dns.rdata import Rdata

SOA = "ns.{zone}. host.{zone}. 1 3600 900 1209600 300"


class UpdateServer:
    """Serves one zone on loopback, over UDP and TCP on one port.

    records  the records of the zone in the format of a zone file
    """

    def __init__(self, zone: str, records: str = "") -> None:
        self._apex = dns.name.from_text(zone)
        self.zone = dns.zone.from_text(
            f"@ 300 IN SOA {SOA.format(zone=zone)}\n{records}",
            origin=zone,
            relativize=False,
            check_origin=False,
        )
        self._udp, self._tcp = self._bind()
        self.port: int = self._udp.server_address[1]

    def __enter__(self) -> Self:
        for server in (self._udp, self._tcp):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def _bind(self) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
        """Bind both protocols to a port that is free for both."""
        while True:
            udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), self._handler(_Datagram))
            try:
                tcp = socketserver.ThreadingTCPServer(udp.server_address, self._handler(_Stream))
            except OSError:  # another process uses the port with TCP
                udp.server_close()
            else:
                return udp, tcp

    def records(self, name: str, rdtype: str) -> list[Rdata]:
        """The records of the name and type now."""
        rdataset = self.zone.get_rdataset(f"{name}.", rdtype)
        return sorted(rdataset) if rdataset else []

    def answer(self, wire: bytes) -> bytes:
        """The response to one message."""
        message = dns.message.from_wire(wire)
        reply = dns.message.make_response(message)
        reply.flags |= dns.flags.AA
        if isinstance(message, dns.update.UpdateMessage):
            for change in message.update:
                self._apply(change)
        elif message.question[0].rdtype == dns.rdatatype.SOA:
            soa = self.zone.find_rdataset(self._apex, dns.rdatatype.SOA)
            rrset = dns.rrset.from_rdata_list(self._apex, 300, list(soa))
            is_apex = message.question[0].name == self._apex
            (reply.answer if is_apex else reply.authority).append(rrset)
        return reply.to_wire(max_size=65535)

    def _apply(self, change: dns.rrset.RRset) -> None:
        """Add the records, or delete those of class NONE (RFC 2136 §2.5)."""
        if change.deleting is None:
            rdataset = self.zone.find_rdataset(change.name, change.rdtype, create=True)
            for rdata in change:
                rdataset.add(rdata, change.ttl)
            return
        assert change.deleting == dns.rdataclass.NONE, "a whole set is deleted"
        current = self.zone.get_rdataset(change.name, change.rdtype)
        remaining = [rdata for rdata in current or () if rdata not in change]
        self.zone.delete_rdataset(change.name, change.rdtype)
        if remaining:
            rdataset = self.zone.find_rdataset(change.name, change.rdtype, create=True)
            for rdata in remaining:
                rdataset.add(rdata, 300)

    def _handler(self, kind: type["_Datagram"] | type["_Stream"]) -> Any:
        return type("Handler", (kind,), {"server_of": self})


class _Datagram(socketserver.BaseRequestHandler):
    server_of: UpdateServer

    def handle(self) -> None:
        data, connection = self.request
        connection.sendto(self.server_of.answer(data), self.client_address)


class _Stream(socketserver.BaseRequestHandler):
    server_of: UpdateServer

    def handle(self) -> None:
        connection: socket.socket = self.request
        with connection.makefile("rb") as stream:
            while size := stream.read(2):
                reply = self.server_of.answer(stream.read(int.from_bytes(size)))
                connection.sendall(len(reply).to_bytes(2) + reply)
