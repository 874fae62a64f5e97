"""The service behind PgBouncer in transaction mode."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.db import engine as db_engine
from app.db.engine import TransactionKind, engine_for
from app.settings import Settings
from app.settings.types import database_url as driver_url
from tests.e2e.service import SECRET, Service, wait_for
from tests.support import databases, pgbouncer
from tests.support.factories import make_account, make_key
from tests.support.paths import ROOT
from tests.support.servers import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pooler(postgres_server: Server) -> Iterator[Server]:
    """A pooler of a new database, which is migrated through it."""
    if (binary := pgbouncer.find_binary()) is None:
        pytest.skip("pgbouncer is not installed; Debian: apt install pgbouncer")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = make_url(driver_url(postgres_server.url)).set(database=f"mailwatch_pooled_{worker}")
    address = url.render_as_string(hide_password=False)
    databases.create(postgres_server.url, address)
    server = pgbouncer.start(binary, address)
    try:
        environment = {"DATABASE_URL": server.url, "DATABASE_TRANSACTION_POOLING": "on"}
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)
        yield server
    finally:
        server.stop()


def test_timeouts_are_in_force(pooler: Server) -> None:
    pooler.restart()  # connections have the settings that their role had when they were opened
    engine = db_engine.connect(driver_url(pooler.url), is_pooled=True)
    writer = engine_for(engine, TransactionKind.WRITE)
    with engine.connect() as connection:
        for name, value in db_engine.SESSION_SETTINGS.items():
            assert connection.scalar(text(f"SHOW {name}")) == value
    with writer.begin() as user, writer.connect() as other:
        user.execute(text("LOCK TABLE accounts"))
        with pytest.raises(OperationalError, match="lock timeout"):
            other.execute(text("SELECT count(*) FROM accounts"))
    engine.dispose()


def test_service_runs_with_fewer_connections_than_clients(
    pooler: Server, redis_url: str, tmp_path: Path
) -> None:
    url = driver_url(pooler.url)
    engine = db_engine.connect(url, is_pooled=True)
    settings = Settings(
        secret_key=SECRET,
        database_url=url,
        redis_url=redis_url,
        account_rate_limit="1000000 per minute",
    )
    databases.use(engine, settings)
    _, token = make_key(make_account().id, rate_limit="1000000 per minute")
    pooling = {"DATABASE_TRANSACTION_POOLING": "on"}
    with Service(tmp_path, pooler.url, redis_url, domains=4, settings=pooling) as service:

        def scan(name: str) -> str:
            assert service.call("POST", "/v1/domains", token, {"name": name}).status == 201
            path = str(service.call("POST", f"/v1/domains/{name}/scans", token).headers["Location"])
            wait_for(lambda: status(path) == "completed", "the scan")
            return path

        def status(path: str) -> str:
            return str(service.call("GET", path, token).json["data"]["status"])

        def read(number: int) -> int:
            return service.call("GET", f"/v1/domains?limit={number % 4 + 1}", token).status

        with ThreadPoolExecutor(8) as pool:
            paths = list(pool.map(scan, service.names))
            assert set(pool.map(read, range(200))) == {200}
        assert len(set(paths)) == len(service.names)
    engine.dispose()
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "prepared statement" not in logs
    assert "database unavailable" not in logs
