"""Records as syslog messages (RFC 5424) over TCP (RFC 6587) or TLS (RFC 5425), octet-counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

from app.options import fields
from app.options.fields import OptionError
from app.ports.dns import LookupFailed
from app.ports.network import NetworkSession
from app.ports.streams import StreamRequest
from app.protocols import names
from app.sinks.types import Deployment, Outcome, Record, SinkConfig

PORTS = {"tls": 6514, "tcp": 601}
_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_INFORMATIONAL = 6
_FACILITIES = {
    **{str(number): f"local{number - 16}" for number in range(16, 24)},
    "1": "user",
    "13": "audit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogConfig(SinkConfig):
    """Syslog messages with a record as JSON."""

    type: ClassVar[str] = "syslog"
    label: ClassVar[str] = "Syslog"
    description: ClassVar[str] = "Send records as syslog messages (RFC 5424) over TLS or TCP."

    host: str = fields.host("Host", placeholder="logs.example.com")
    port: int | None = fields.port(hint="The default is 6514 for TLS and 601 for TCP.")
    transport: str = fields.choice(
        "Transport",
        {"tls": "TLS", "tcp": "TCP, not encrypted"},
        default="tls",
        is_bound=True,
    )
    facility: str = fields.choice("Facility", _FACILITIES, default="16")

    @property
    def destination(self) -> str:
        return f"{self.host}:{self._port}"

    @property
    def _port(self) -> int:
        return self.port or PORTS[self.transport]

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the host and the certificates."""
        try:
            names.parse_host(self.host)
        except names.NotADomain as error:
            yield OptionError("host", error.reason)
        else:
            if "." not in self.host:
                yield OptionError("host", "Enter a fully qualified domain name")
        yield from super(SyslogConfig, self).problems()

    async def send(
        self, records: Sequence[Record], network: NetworkSession, deployment: Deployment
    ) -> Outcome:
        facility, host_name = int(self.facility), deployment.host_name
        request = StreamRequest(
            port=self._port,
            data=b"".join(_frame(record, facility, host_name) for record in records),
            is_tls=self.transport == "tls",
            ca_certificates=self.trusted,
            seconds=deployment.timeout_seconds,
        )
        try:
            return Outcome(await network.send_stream(self.host, request))
        except LookupFailed as error:
            return Outcome(f"the DNS lookup of the host failed: {error.reason}")


def _frame(record: Record, facility: int, host_name: str) -> bytes:
    """Return the message with its length in octets before it."""
    severity = _SEVERITIES.get(_severity(record), _INFORMATIONAL)
    header = (
        f"<{facility * 8 + severity}>1 {record['at']} {host_name} mailwatch - {record['kind']} - "
    )
    message = header.encode() + orjson.dumps(record)
    return b"%d %s" % (len(message), message)


def _severity(record: Record) -> str:
    alert = record.get("alert") or {}
    return str(record.get("severity") or alert.get("severity") or "")
