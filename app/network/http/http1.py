"""HTTP/1.1 requests over a stream, with a limit on every part of a response (RFC 9112).

h11 writes the requests and parses the responses. The limits and the waiting are ours.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import h11

from app.network.http.special_addresses import Address

MAX_HEAD = 16 * 1024  # also of a chunk's first line, and of the trailer
_READ_BYTES = 16 * 1024
_MAX_INTERIM = 5  # 1xx responses before the final one
_HEAD_TOO_LARGE = 431  # the status with which h11 reports it

_Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class NotHttp(ValueError):
    """The data is not an HTTP/1.1 response."""


class TooLarge(ValueError):
    """The response exceeds a size limit."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status and headers of a response.

    headers  by name in lower case; repeated values are joined by a comma
    """

    status: int
    headers: Mapping[str, str]

    @property
    def has_bounded_body(self) -> bool:
        """Whether the end of the body is known before the connection ends."""
        is_framed = not self.headers.keys().isdisjoint(("content-length", "transfer-encoding"))
        return is_framed or self.status in (204, 304)


class HttpStream:
    """An HTTP/1.1 connection: requests and their responses, one after the other."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._head = Head(0, {})

    async def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> None:
        """Send a request.

        raises  ValueError if a header or the target is invalid
        """
        try:
            request = h11.Request(method=method, target=target, headers=list(headers))
        except h11.LocalProtocolError as error:
            raise ValueError(str(error)) from None
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        self.writer.write(b"".join(self._http.send(event) or b"" for event in events))
        await self.writer.drain()

    async def read_head(self) -> Head:
        """Return the head of the final response; interim responses (1xx) are skipped.

        raises  NotHttp, TooLarge, asyncio.IncompleteReadError with the data that arrived
        """
        for _ in range(_MAX_INTERIM):
            event = await self._next_event(is_head=True)
            if isinstance(event, h11.Response):
                self._head = Head(event.status_code, _headers(event))
                return self._head
            if not isinstance(event, h11.InformationalResponse):
                raise NotHttp("the connection ended without a response")
        raise NotHttp("too many interim responses")

    async def read_body(self, limit: int) -> bytes:
        """Return the body of the response.

        limit   maximum size in bytes
        raises  NotHttp, TooLarge, EOFError (the body is truncated)
        """
        body = bytearray()
        _check_size(int(self._head.headers.get("content-length", 0)), limit)
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            _check_size(len(body), limit)
        return bytes(body)

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can be reused after the response (RFC 9112 §9.3)."""
        return self._http.our_state is h11.DONE and self._head.has_bounded_body

    async def prepare_next(self, limit: int) -> bool:
        """Read the rest of the response; returns whether another request can be sent.

        limit   maximum size of the rest in bytes
        raises  NotHttp, TooLarge, EOFError
        """
        if self._http.their_state is not h11.DONE:
            await self.read_body(limit)
        if self.has_trailing_data:
            return False
        self._http.start_next_cycle()
        return not self.reader.at_eof() and not self.writer.is_closing()

    def abort(self) -> None:
        """Abort the connection without waiting for the peer."""
        self.writer.transport.abort()

    @property
    def has_trailing_data(self) -> bool:
        """Whether data or the end of the connection arrived after the response."""
        return self._http.trailing_data != (b"", False)

    async def _next_event(self, *, is_head: bool = False) -> _Event:
        """Return the next event that does not need more data."""
        received, is_end = b"", False
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self.reader.read(_READ_BYTES)
                received, is_end = received or data, not data
                if is_end and is_head:
                    raise asyncio.IncompleteReadError(received, None)
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            if is_end:
                raise EOFError("the body is truncated") from None
            if is_head and error.error_status_hint == _HEAD_TOO_LARGE:
                raise TooLarge("The head of the response is too large") from None
            raise NotHttp(str(error)) from None
        return event


async def open_tunnel(
    reader: StreamReader, writer: StreamWriter, address: Address, port: int
) -> None:
    """Have a proxy connect to the address (CONNECT, RFC 9110 §9.3.6).

    raises  ConnectionError if the proxy refuses; NotHttp, TooLarge, EOFError
    """
    host = f"[{address}]" if address.version == 6 else str(address)
    authority = f"{host}:{port}"
    stream = HttpStream(reader, writer)
    await stream.send("CONNECT", authority, [("Host", authority)])
    head = await stream.read_head()
    if head.status != 200:
        raise ConnectionError(f"the proxy answered {head.status}")
    if stream.has_trailing_data:
        raise ConnectionError("the proxy sent data before the host")


def _headers(response: h11.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge("The body of the response is too large")
