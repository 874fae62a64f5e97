"""Records as syslog messages (RFC 5424) over TCP (RFC 6587) or TLS (RFC 5425), octet-counted."""

from collections.abc import Mapping, Sequence

import orjson

from app.ports.dns import LookupFailed
from app.ports.network import NetworkSession
from app.ports.streams import StreamRequest
from app.protocols import names
from app.sinks import types
from app.sinks.types import (
    CA_CERTIFICATES,
    BadOption,
    Option,
    Outcome,
    Record,
    SinkConfig,
    SinkType,
    Target,
)

PORTS = {"tls": "6514", "tcp": "601"}
_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_INFORMATIONAL = 6
_FACILITIES = {
    **{str(number): f"local{number - 16}" for number in range(16, 24)},
    "1": "user",
    "13": "audit",
}


class Syslog(SinkType):
    """Syslog messages with a record as JSON."""

    name = "syslog"
    label = "Syslog"
    description = "Send records as syslog messages (RFC 5424) over TLS or TCP."
    options = (
        Option("host", "Host", "a host name", max_length=253),
        Option("port", "Port", "6514 for TLS, 601 for TCP", is_required=False, max_length=5),
        Option(
            "transport",
            "Transport",
            default="tls",
            choices={"tls": "TLS", "tcp": "TCP, not encrypted"},
        ),
        Option("facility", "Facility", default="16", choices=_FACILITIES),
        CA_CERTIFICATES,
    )

    def check(self, options: Mapping[str, str]) -> None:
        host = options["host"]
        try:
            is_name = names.parse_host(host) == host and "." in host
        except names.NotADomain as error:
            raise BadOption("host", error.reason) from None
        if not is_name:
            raise BadOption("host", "Enter a fully qualified domain name in A-labels")
        port = options["port"]
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise BadOption("port", "Enter a port from 1 to 65535")
        types.check_certificates(options)

    def destination(self, options: Mapping[str, str]) -> str:
        return f"{options['host']}:{_port(options)}"

    async def send(
        self,
        records: Sequence[Record],
        target: Target,
        network: NetworkSession,
        config: SinkConfig,
    ) -> Outcome:
        options = target.options
        facility = int(options["facility"])
        request = StreamRequest(
            port=int(_port(options)),
            data=b"".join(_frame(record, facility, config.host_name) for record in records),
            is_tls=options["transport"] == "tls",
            ca_certificates=target.ca_certificates,
            seconds=config.timeout_seconds,
        )
        try:
            return Outcome(await network.send_stream(options["host"], request))
        except LookupFailed as error:
            return Outcome(f"the DNS lookup of the host failed: {error.reason}")


def _port(options: Mapping[str, str]) -> str:
    return options["port"] or PORTS[options["transport"]]


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
