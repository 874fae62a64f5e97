"""The process-wide state: settings, and access to database, Redis and network."""

from app import logs, settings
from app.db import engine, transactions
from app.jobs import queue
from app.network.session import LiveNetwork
from app.ports.network import Network
from app.settings import Settings

_door: Network | None = None


def start(chosen: Settings, door: Network | None = None) -> None:
    """Set up this process for its settings; connections are opened on first use.

    door  the network access of checks; the real network by default
    """
    global _door
    logs.configure(chosen.log_level)
    settings.use(chosen)
    transactions.bind(engine.connect(chosen.database_url))
    queue.bind(chosen.redis_url)
    _door = door or LiveNetwork(chosen)


def door() -> Network:
    """The network access for the checks of this process."""
    if _door is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _door
