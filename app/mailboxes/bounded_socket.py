"""A TLS socket that limits how much a server sends for one command, and the total time."""

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

_MAX_LINES, _MAX_LINE = 20, 2048  # of a server before TLS


@dataclass(frozen=True, slots=True)
class StartTls:
    """How the client of a protocol starts TLS on a connection that begins in clear text.

    protocol  its name with an article
    greeting  the first line of a server; after TLS has started, clients read it again
    command   what the client sends
    tag       what the response to the command begins with; other lines are ignored
    success   what follows the tag if the server agrees
    """

    protocol: str
    greeting: bytes
    command: bytes
    tag: bytes
    success: bytes


class ReceiveLimit:
    """The bytes that a connection may still receive, and until when.

    idle_seconds   the longest time without data
    total_seconds  the longest time from now on
    size_bytes     until the next call of ``allow``
    """

    def __init__(self, idle_seconds: float, total_seconds: float, size_bytes: int) -> None:
        self._idle_seconds, self._total_seconds = idle_seconds, total_seconds
        self._deadline = time.monotonic() + total_seconds
        self._remaining_bytes = size_bytes

    def allow(self, size_bytes: int) -> None:
        """Allow this many bytes from now on, regardless of how many remain."""
        self._remaining_bytes = size_bytes

    def timeout(self) -> float:
        """Return how many seconds the next read may take.

        raises  TimeoutError after the deadline
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            total = f"{self._total_seconds:.0f} seconds"
            raise TimeoutError(f"the server did not finish within {total}")
        return min(self._idle_seconds, remaining)

    def count(self, size_bytes: int) -> None:
        """Count received bytes.

        raises  OSError if the server sent more than allowed
        """
        self._remaining_bytes -= size_bytes
        if self._remaining_bytes < 0:
            raise OSError("the server sent more than the maximum message size")


class TlsConnector:
    """Starts TLS on the socket of a client, which calls ``wrap_socket`` of an SSLContext.

    server_name  the name that the certificate must have; the client connects to an address
    start        how TLS starts if the connection begins in clear text
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        limit: ReceiveLimit,
        server_name: str,
        start: StartTls | None = None,
    ) -> None:
        _limit_sockets(context, limit)
        self._context, self._limit = context, limit
        self._server_name, self._start = server_name, start

    def wrap_socket(self, plain: socket.socket, **_: Any) -> ssl.SSLSocket:
        """Return the TLS socket, after the handshake.

        raises  OSError, also if the server refuses to start TLS
        """
        start = self._start
        try:
            if start is not None:
                self._request_tls(plain, start)
            plain.settimeout(self._limit.timeout())
            secure = self._context.wrap_socket(plain, server_hostname=self._server_name)
        except BaseException:
            plain.close()
            raise
        if start is not None:
            secure.greeting = start.greeting + b"\r\n"  # type: ignore[attr-defined]
        return secure

    def _request_tls(self, plain: socket.socket, start: StartTls) -> None:
        greeting = self._line(plain, start)
        if not greeting.startswith(start.greeting):
            raise OSError(f"the server does not offer STARTTLS: {_text(greeting)}")
        plain.sendall(start.command + b"\r\n")
        for _ in range(_MAX_LINES):
            line = self._line(plain, start)
            if line.startswith(start.tag):
                answer = line.removeprefix(start.tag)
                if not answer.upper().startswith(start.success):
                    raise OSError(f"the server refused STARTTLS: {_text(answer)}")
                return
        raise OSError("the server did not answer STARTTLS")

    def _line(self, plain: socket.socket, start: StartTls) -> bytes:
        """Return the next line; nothing behind it is read, so that it cannot count as encrypted."""
        line = b""
        while not line.endswith(b"\n"):
            plain.settimeout(self._limit.timeout())
            byte = plain.recv(1)
            line += byte
            if not byte or len(line) > _MAX_LINE:
                raise OSError(f"the server is not {start.protocol} server with STARTTLS")
        return line.strip()


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")


def _limit_sockets(context: ssl.SSLContext, limit: ReceiveLimit) -> None:
    """Apply the limit to every socket that the context wraps from now on."""

    class BoundedSocket(ssl.SSLSocket):
        """A socket that checks the limit at every read; first, it returns the greeting."""

        greeting = b""

        def recv_into(self, buffer: Any, *args: Any, **kwargs: Any) -> int:
            if self.greeting:
                size = min(len(buffer), len(self.greeting))
                buffer[:size] = self.greeting[:size]
                self.greeting = self.greeting[size:]
                return size
            self.settimeout(limit.timeout())
            try:
                size = super().recv_into(buffer, *args, **kwargs)
            except TimeoutError:
                limit.timeout()  # raises a TimeoutError with a better reason after the deadline
                raise
            limit.count(size)
            return size

    context.sslsocket_class = BoundedSocket
