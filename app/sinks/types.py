"""The interface of a sink type: what differs between webhooks, syslog, OpenSearch and Splunk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.options import certificates
from app.options.fields import OptionError
from app.options.schema import Options
from app.ports.network import NetworkSession

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig(Options, ABC):
    """The options of a sink; a subclass is a sink type, with at most one secret.

    type         the value of ``record_sinks.kind``
    label        the name in the dashboard
    description  what it does, as a sentence
    batch_size   the maximum number of records in one attempt
    """

    type: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    batch_size: ClassVar[int] = 500

    ca_certificates: str = certificates.option()

    @property
    @abstractmethod
    def destination(self) -> str:
        """Where the records go, as lists show it; without secrets."""

    @abstractmethod
    async def send(
        self, records: Sequence[Record], network: NetworkSession, deployment: Deployment
    ) -> Outcome:
        """Send at least one record within ``deployment.timeout_seconds``; return the outcome."""

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the certificates and with options in combination."""
        yield from certificates.problems("ca_certificates", self.ca_certificates)

    @property
    def trusted(self) -> str | None:
        """The only trusted authorities; None for those of this machine."""
        return self.ca_certificates or None
