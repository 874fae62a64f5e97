"""The process-wide state: settings, and access to database, Redis and network."""

from collections.abc import Callable

from sqlalchemy.engine import Engine

from app import logs, settings
from app.db import engine, transactions
from app.jobs import queue
from app.metrics import definitions, increments
from app.network.options import QueryCounters
from app.network.session import LiveNetwork
from app.ports.network import Network
from app.settings import Settings


def _query_counter(server: str) -> Callable[[str, int], None]:
    return lambda outcome, number: definitions.DNS_QUERIES.add(server, outcome, amount=number)


COUNTERS = QueryCounters(
    resolver=_query_counter(definitions.RESOLVER),
    name_servers=_query_counter(definitions.NAME_SERVER),
)
_network: Network | None = None


def start(chosen: Settings, network: Network | None = None, database: Engine | None = None) -> None:
    """Set up this process for its settings; connections are opened on first use.

    network   the network access of checks; the real network by default
    database  the engine of the database; by default a new one
    """
    global _network
    logs.configure(chosen.log_level)
    settings.use(chosen)
    transactions.bind(
        database
        or engine.connect(chosen.database_url, is_pooled=chosen.database_transaction_pooling)
    )
    queue.bind(chosen.redis_client_url)
    increments.bind(chosen.redis_client_url)
    _network = network or LiveNetwork(chosen, COUNTERS)


def network() -> Network:
    """Return the network access for the checks of this process."""
    if _network is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _network
