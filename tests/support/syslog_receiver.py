"""A syslog receiver on loopback that accepts octet-counted RFC 5424 messages over TCP or TLS."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S{1,255}) (\S{1,48}) (\S{1,128}) "
    rb"(\S{1,32}) - (\{.*\})",
    re.DOTALL,
)


@dataclass(frozen=True)
class Message:
    """A message with the fields of its header, and the record in it."""

    priority: int
    host: str
    application: str
    message_id: str
    record: dict[str, Any]


@dataclass
class SyslogReceiver:
    """What was received on connections that the sender completed.

    resets_after  reset the connection after this number of bytes; None: read to the end
    closes        whether it closes the connection after the end
    broken        the data of connections that do not consist of complete messages
    """

    port: int
    messages: list[Message] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    connections: int = 0
    resets_after: int | None = None
    closes: bool = True
    is_stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        return [message.record["mailwatchId"] for message in self.messages]

    def serve(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Accept one connection after the other until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                self._receive(connection)
            except OSError:
                connection.close()

    def _receive(self, connection: socket.socket) -> None:
        data = b""
        while block := connection.recv(4096):
            data += block
            if self.resets_after is not None and len(data) >= self.resets_after:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()
                return
        messages = _parse(data)
        if messages is None:
            self.broken.append(data)
        else:
            self.messages += messages
        if not self.closes:
            self.is_stopped.wait(30)
        connection.close()


def _parse(data: bytes) -> list[Message] | None:
    """The messages in octet counting (RFC 6587 §3.4.1); None if the data is anything else."""
    messages = []
    while data:
        head = re.match(rb"([1-9]\d{0,8}) ", data)
        if head is None:
            return None
        end = head.end() + int(head[1])
        match = MESSAGE.fullmatch(data[head.end() : end])
        if match is None:
            return None
        messages.append(
            Message(
                priority=int(match[1]),
                host=match[3].decode(),
                application=match[4].decode(),
                message_id=match[6].decode(),
                record=orjson.loads(match[7]),
            )
        )
        data = data[end:]
    return messages


@contextmanager
def receiving_syslog(context: ssl.SSLContext | None = None) -> Iterator[SyslogReceiver]:
    """Run a receiver until the context ends; with a context, it uses TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = SyslogReceiver(listener.getsockname()[1])
        thread = threading.Thread(target=receiver.serve, args=(listener, context), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.is_stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)
