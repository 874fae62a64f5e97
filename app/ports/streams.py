"""Data that is sent over a connection of its own, such as syslog messages."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The data of one connection, and how to connect.

    is_tls           whether the connection uses TLS
    ca_certificates  the only trusted authorities (PEM); None for those of this machine
    seconds          the timeout of the connection from its beginning to its end
    """

    port: int
    data: bytes
    is_tls: bool
    ca_certificates: str | None
    seconds: float


class StreamSender(Protocol):
    """A sender of data to public addresses only."""

    async def send_stream(self, host: str, request: StreamRequest) -> str | None:
        """Send the data, and wait until the receiver has read it and closes the connection.

        returns  why the data was not received; None if it was
        raises   LookupFailed if the addresses of the host could not be looked up
        """
