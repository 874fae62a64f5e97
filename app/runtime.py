"""The process-wide state: settings, and access to database, Redis and network."""

from app import logs, settings
from app.db import engine, transactions
from app.jobs import queue
from app.metrics import increments
from app.network.session import LiveNetwork
from app.ports.network import Network
from app.settings import Settings

_network: Network | None = None


def start(chosen: Settings, network: Network | None = None) -> None:
    """Set up this process for its settings; connections are opened on first use.

    network  the network access of checks; the real network by default
    """
    global _network
    logs.configure(chosen.log_level)
    settings.use(chosen)
    transactions.bind(
        engine.connect(chosen.database_url, is_pooled=chosen.database_transaction_pooling)
    )
    queue.bind(chosen.redis_client_url)
    increments.bind(chosen.redis_client_url)
    _network = network or LiveNetwork(chosen)


def network() -> Network:
    """Return the network access for the checks of this process."""
    if _network is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _network
