"""PgBouncer in transaction mode, in front of a PostgreSQL server."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from devtools.processes import free_port
from tests.support.servers import UNPRIVILEGED_USER, Server

POOL_SIZE = 3  # fewer than the clients, so that they share connections
_CONFIGURATION = """
[databases]
{database} = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
"""


def find_binary() -> str | None:
    """Return the path of PgBouncer, which Debian installs outside the path of users; or None."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


def start(binary: str, database_url: str) -> Server:
    """Start a pooler whose only database is that of the URL; its ``url`` leads to it."""
    url, listen_port = make_url(database_url), free_port()
    directory = Path(tempfile.mkdtemp(prefix="mailwatch-pgbouncer-", dir="/tmp"))
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            database=url.database,
            host=url.host,
            port=url.port,
            listen_port=listen_port,
            pool_size=POOL_SIZE,
        )
    )
    options = {}
    if os.geteuid() == 0:  # PgBouncer refuses to run as root
        directory.chmod(0o755)
        options = {"user": UNPRIVILEGED_USER, "group": UNPRIVILEGED_USER, "extra_groups": []}
    pooled = f"postgresql://postgres@127.0.0.1:{listen_port}/{url.database}"

    def is_up() -> bool:
        try:
            psycopg.connect(pooled, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return Server(
        pooled,
        [binary, str(configuration)],
        is_up,
        options=options,
        scratch=directory,
        log=directory / "pgbouncer.log",
    ).start()
