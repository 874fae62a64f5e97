"""What the network needs to know from the program that uses it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from app.network.http import special_addresses


class NetworkSettings(Protocol):
    """The settings of the network, which ``app.settings.Settings`` explains."""

    @property
    def base_url(self) -> str: ...
    @property
    def check_authoritative_servers(self) -> bool: ...
    @property
    def dns_nameservers(self) -> Sequence[tuple[str, int]]: ...
    @property
    def dns_query_seconds(self) -> float: ...
    @property
    def egress_allow_cidrs(self) -> Sequence[special_addresses.Network]: ...
    @property
    def egress_connect_to(self) -> Sequence[tuple[str, str, int]]: ...
    @property
    def egress_proxy(self) -> str | None: ...
    @property
    def scan_outstanding_queries(self) -> int: ...
    @property
    def scan_query_budget(self) -> int: ...


class QueryCounters(NamedTuple):
    """Functions that count DNS queries, by the outcome: an RCODE or a failure."""

    resolver: Callable[[str, int], None] | None = None
    name_servers: Callable[[str, int], None] | None = None
