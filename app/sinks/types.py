"""The interface of a sink type: what differs between webhooks, syslog, OpenSearch and Splunk."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.ports.network import NetworkSession

Record = Mapping[str, Any]
MAX_CERTIFICATES = 20_000  # characters


class BadOption(ValueError):
    """An option that a sink cannot have; ``field`` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a sink, as its form and its command have it.

    choices  the accepted values with their labels; empty: any text
    is_secret  whether it is stored encrypted and never shown; a type has at most one
    """

    name: str
    label: str
    hint: str = ""
    default: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    is_required: bool = True
    is_secret: bool = False
    max_length: int = 1000


CA_CERTIFICATES = Option(
    "ca_certificates",
    "Certificate authority (PEM)",
    "Only for receivers with a certificate from your own authority; no other is trusted then.",
    is_required=False,
    max_length=MAX_CERTIFICATES,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A sink as its type sees it.

    id       the public id
    options  by name, checked by ``SinkType.check``
    secret   "" if the type has none
    """

    id: str
    options: Mapping[str, str]
    secret: str

    @property
    def ca_certificates(self) -> str | None:
        """The only trusted authorities; None for those of this machine."""
        return self.options.get("ca_certificates") or None


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """The settings of the deployment that sink types need.

    host_name  the name of this service, as the source of records
    """

    host_name: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt; without ``error`` the receiver has every record.

    accepted     with an error, how many records from the beginning need not be sent again
    error        why the receiver does not have the other records
    is_refused   whether the receiver refused the content, so that another attempt fails as well
    rejected     why the receiver refused single records, by their index, while it accepted others
    retry_after  the Retry-After header of the response
    """

    error: str | None = None
    accepted: int = 0
    is_refused: bool = False
    rejected: Mapping[int, str] = field(default_factory=dict)
    retry_after: str = ""


class SinkType(ABC):
    """One way in which records are forwarded.

    name         the value of ``record_sinks.kind``
    label        the name in the dashboard
    description  what it does, as the help of its form and its command
    options      its options, in the order of the form
    batch_size   the maximum number of records in one attempt
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    options: ClassVar[Sequence[Option]]
    batch_size: ClassVar[int] = 500

    @abstractmethod
    def check(self, options: Mapping[str, str]) -> None:
        """Check the combination of options, which are complete and of the right lengths.

        raises  BadOption
        """

    @abstractmethod
    def destination(self, options: Mapping[str, str]) -> str:
        """Return where the records go, as lists show it; without secrets."""

    @abstractmethod
    async def send(
        self,
        records: Sequence[Record],
        target: Target,
        network: NetworkSession,
        config: SinkConfig,
    ) -> Outcome:
        """Send at least one record within ``config.timeout_seconds``, and return the outcome."""

    def new_secret(self) -> str | None:
        """Return a secret that this service creates; None if people enter it, or there is none."""
        return None

    @property
    def secret_option(self) -> Option | None:
        """The option that is stored encrypted."""
        return next((option for option in self.options if option.is_secret), None)


def check_certificates(options: Mapping[str, str]) -> None:
    """Check the option ``ca_certificates``; raises BadOption."""
    text = options.get("ca_certificates", "")
    if not text:
        return
    try:
        ssl.create_default_context().load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError):
        raise BadOption("ca_certificates", "Enter certificates in PEM format") from None
