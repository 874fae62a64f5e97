"""``./dev drill``: the drills at realistic size, on SQLite and on PostgreSQL.

Then every parser is fuzzed for a minute, with ``--quick`` for two seconds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from alembic import command
from alembic.config import Config

from app import settings as app_settings
from app.db import engine as db_engine
from app.db import transactions
from app.jobs import queue
from app.settings import Settings
from app.settings import types as setting_types
from tests.e2e import (
    drills,
    hostile_ingest_drill,
    ingest_drill,
    rolling_restart_drill,
    slow_clients_drill,
)
from tests.e2e.deliver import deliver
from tests.e2e.service import SECRET, Service
from tests.fuzz import fuzzer
from tests.support.factories import make_account, make_key
from tests.support.paths import ROOT
from tests.support.receivers import LOOPBACK, Receiver, receiving
from tests.support.servers import Server, start_postgres, start_valkey

DOMAINS = 100
KILLS = 6
TRANSITIONS, DELIVERY_KILLS = 1000, 3
REPORTS = 500  # each sent twice
REDIS_AWAY_SECONDS = 10.0
SLOW_CLIENTS = 200
FUZZ_SECONDS, QUICK_FUZZ_SECONDS = 60.0, 2.0  # a parser


def main() -> int:
    """Exit status 1 if anything was lost, or a parser failed."""
    parser = argparse.ArgumentParser(prog="./dev drill")
    parser.add_argument("--quick", action="store_true", help="fuzz each parser for 2 s, not 60")
    parser.add_argument("--deliveries", action="store_true", help="only the drill of deliveries")
    chosen = parser.parse_args()
    for engine in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory(prefix="drill-") as name:
            directory = Path(name)
            directory.chmod(0o755)
            with receiving(directory) as flaky, receiving(directory) as healthy:
                receivers = (flaky, healthy)
                with _running(directory, engine, receivers) as (service, redis):
                    if not chosen.deliveries:
                        _run(engine, service, redis)
                    _deliver(engine, service, receivers)
    if chosen.deliveries:
        return 0
    return 1 if fuzzer.run(QUICK_FUZZ_SECONDS if chosen.quick else FUZZ_SECONDS) else 0


def _deliver(engine: str, service: Service, receivers: Sequence[Receiver]) -> None:
    flaky, healthy = receivers
    summary = deliver(service, flaky, healthy, transitions=TRANSITIONS, kills=DELIVERY_KILLS)
    sys.stdout.write(f"{engine:10} | {summary}\n")
    sys.stdout.flush()


def _run(engine: str, service: Service, redis: Server) -> None:
    def say(text: str) -> None:
        sys.stdout.write(f"{engine:10} | {text}\n")
        sys.stdout.flush()

    say(drills.share_limit(service, make_key(make_account().id)[1]))
    token = make_key(make_account().id, rate_limit="50 per minute")[1]
    say(drills.hang_redis(service, redis, token, limit=50))
    say(
        slow_clients_drill.hold_connections(
            service, _account()[1], clients=SLOW_CLIENTS, seconds=15, limit_seconds=1.0
        )
    )
    account_id, token = _account()
    drills.add_domains(service, token)
    say(drills.kill_workers(service, token, account_id, KILLS))
    if engine == "postgresql":  # several web processes and workers need it
        account_id, token = _account()
        drills.add_domains(service, token)
        say(rolling_restart_drill.restart_all(service, token, account_id))
    say(ingest_drill.kill_everything(service, redis, make_account().id, REPORTS, rounds=40))
    say(hostile_ingest_drill.poison(service, make_account().id, make_account().id))
    say(hostile_ingest_drill.flood(service, make_account().id))
    account_id, token = _account()
    drills.add_domains(service, token)
    say(drills.stop_redis(service, redis, token, REDIS_AWAY_SECONDS))


def _account() -> tuple[UUID, str]:
    account_id = make_account().id
    return account_id, make_key(account_id, rate_limit="1000000 per minute")[1]


@contextmanager
def _running(
    directory: Path, engine: str, receivers: Sequence[Receiver]
) -> Iterator[tuple[Service, Server]]:
    (directory / "valkey").mkdir()
    redis = start_valkey(directory / "valkey", persistent=True)
    servers = [redis]
    url = f"sqlite:///{directory / 'drill.db'}"
    if engine == "postgresql":
        (directory / "postgres").mkdir()
        servers.append(start_postgres(directory / "postgres"))
        url = setting_types.database_url(servers[-1].url)
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    command.upgrade(config, "head")
    app_settings.use(
        Settings(
            secret_key=SECRET,
            database_url=url,
            redis_url=redis.url,
            allow_special_use_names=True,
            account_rate_limit="1000000 per minute",
            domain_verification="off",
            egress_allow_cidrs=LOOPBACK,
            egress_ports=tuple(receiver.port for receiver in receivers),
        )
    )
    connected = db_engine.connect(url)
    transactions.bind(connected)
    queue.bind(redis.url)
    try:
        with Service(directory, url, redis.url, domains=DOMAINS, receivers=receivers) as service:
            yield service, redis
    finally:
        connected.dispose()
        for server in servers:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
