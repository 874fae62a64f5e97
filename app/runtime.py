"""What a process has once: its settings, and the doors to database, Redis and network."""

import gc

from app import logs, settings
from app.db import engine, transactions
from app.jobs import queue
from app.network.dns.resolver import DnsNetwork
from app.ports.dns import Network
from app.settings import Settings

_door: Network | None = None


def start(chosen: Settings, door: Network | None = None) -> None:
    """Bind this process to its settings; nothing is connected before it is used.

    door  where checks find their answers; the network by default
    """
    global _door
    logs.configure(chosen.log_level)
    settings.use(chosen)
    transactions.bind(engine.connect(chosen.database_url))
    queue.bind(chosen.redis_url)
    _door = door or DnsNetwork(chosen)


def spare_the_collector() -> None:
    """Look for cyclic garbage rarely, and never at what is loaded by now.

    Requests and jobs make little of it, and end soon; and what is not looked at stays shared with
    the forks of this process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def door() -> Network:
    """Where the checks of this process find their answers."""
    if _door is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _door
