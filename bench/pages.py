"""CPU time of each page of the dashboard in a large account, on SQLite and PostgreSQL.

    ./dev bench pages [--domains 5000] [--records 1000000] [--rounds 5] [--databases sqlite …]

All domains and records are in one account; each domain has a scan and its alerts. The time is that
of the process with the page, and with PostgreSQL also that of its server, so that it does not
depend on what else runs on the machine. The same pages of an account with a tenth of the domains
show what grows with their number.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app import create_app, ids
from app.db.transactions import transaction
from app.models import Alert, DmarcReport
from app.services.accounts import accounts
from app.settings import Settings
from app.settings import types as setting_types
from bench import backends, domains_made, reports_made
from bench.reports_made import LARGEST
from tests.support import servers

LIMIT_MS = 100.0
MAX_GROWTH = 2.0  # of a list's time with ten times the domains; small times are not compared
PASSWORD = "correct horse battery"
FAST = "100000000 per minute"
NOT_MEASURED = {"/assets/<path:filename>", "/domains/<domain>/scan", "/domains/first-scans"}
VIEWS = (  # lists with filters and orders
    "/domains?sort=rate",
    "/domains?sort=messages",
    "/domains?sort=-score",
    "/domains?q=d4",
    "/domains?state=alerts",
    "/alerts?q=SPF",
    "/alerts?domain=d4",
    "/alerts?severity=critical",
    "/alerts?status=resolved",
    "/reports?domain=largest.test",
    "/reports?reporter=r1",
    "/domains/{domain}/mail?days=365",
    "/domains/{domain}/records?result=fail",
    "/domains/{domain}/policy?p=reject&sp=&adkim=&aspf=&remove_spf=&days=30",
)
Cpu = Callable[[], float]


def paths(app: Flask, account_id: UUID) -> Iterator[str]:
    """The paths of all pages that need no token and no object other than these."""
    values = {"domain": LARGEST, "type": "imap", "type_name": "webhook"}
    with transaction(readonly=True) as session:
        alert = session.scalars(select(Alert.id).where(Alert.account_id == account_id)).first()
        report = session.scalars(
            select(DmarcReport.id).where(DmarcReport.account_id == account_id)
        ).first()
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.endpoint.startswith("web."):
            continue
        if rule.rule in NOT_MEASURED or rule.rule.endswith("/file"):
            continue
        if rule.arguments <= values.keys():
            yield rule.build(values, append_unknown=False)[1]  # type: ignore[index]
    yield f"/alerts/{ids.public('alert', alert)}"
    yield f"/reports/dmarc/{ids.public('dmr', report)}"
    yield from (view.format(domain=LARGEST) for view in VIEWS)


def sign_in(app: Flask) -> FlaskClient:
    """A browser of an owner of the account."""
    accounts.add_user("bench", "ann@bench.test", role="owner", password=PASSWORD)
    client = app.test_client()
    client.post("/auth/login", data={"email": "ann@bench.test", "password": PASSWORD})
    return client


def measure(client: FlaskClient, path: str, cpu: Cpu, rounds: int) -> float | None:
    """The median CPU time of a page in milliseconds; None if it is not a page."""
    if client.get(path).status_code != 200:
        return None
    taken = []
    for _ in range(rounds):
        started = cpu()
        client.get(path).get_data()
        taken.append((cpu() - started) * 1000)
    return statistics.median(taken)


@contextmanager
def on_sqlite(domains: int, records: int) -> Iterator[tuple[Flask, UUID, Cpu]]:
    """An application with an account in SQLite."""
    with tempfile.TemporaryDirectory(prefix="mailwatch-bench-") as name:
        path = Path(name) / "bench.db"
        app = application(f"sqlite:///{path}")
        made = reports_made.in_sqlite(path, records, _end(), domains)
        domains_made.make(*made)
        yield app, made[0], time.process_time


@contextmanager
def on_postgresql(domains: int, records: int) -> Iterator[tuple[Flask, UUID, Cpu]]:
    """An application with an account in PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="mailwatch-bench-") as name:
        server = servers.start_postgres(Path(name))
        try:
            url = setting_types.database_url(server.url)
            app = application(url)
            made = reports_made.in_postgres(server.url, url, records, _end(), domains)
            domains_made.make(*made)
            pid = server.process.pid if server.process else 0
            yield app, made[0], lambda: time.process_time() + _cpu_seconds(pid)
        finally:
            server.stop()


def application(url: str) -> Flask:
    """The application on this database, without limits on the number of requests."""
    app = create_app(
        Settings(
            secret_key=backends.SECRET,
            database_url=url,
            redis_url=backends.NO_REDIS,
            domain_verification="off",
            allow_special_use_names=True,
            dashboard_rate_limit=FAST,
            dashboard_anonymous_rate_limit=FAST,
        )
    )
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose
    return app


def _cpu_seconds(pid: int) -> float:
    """The CPU seconds of the database server's processes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for child in children:
        stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _end() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


DATABASES = {"sqlite": on_sqlite, "postgresql": on_postgresql}


def _measure_all(database: str, domains: int, records: int, rounds: int) -> dict[str, float]:
    """The CPU time of each page by path; ids in paths are left out."""
    with DATABASES[database](domains, records) as (app, account_id, cpu):
        client = sign_in(app)
        medians = {}
        for path in paths(app, account_id):
            name = "/".join("…" if "_0" in part else part for part in path.split("/"))
            if (ms := measure(client, path, cpu, rounds)) is not None:
                medians[name] = ms
        return medians


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if a page takes too long, or grows with the number of domains."""
    parser = argparse.ArgumentParser(prog="./dev bench pages")
    parser.add_argument("--domains", type=int, default=5_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--databases", nargs="+", default=[*DATABASES], choices=[*DATABASES])
    chosen = parser.parse_args(arguments)
    is_met = True
    for database in chosen.databases:
        small = _measure_all(database, chosen.domains // 10, chosen.records // 10, chosen.rounds)
        large = _measure_all(database, chosen.domains, chosen.records, chosen.rounds)
        print(
            f"\n{database}: CPU in ms with {chosen.domains // 10:,} and {chosen.domains:,} domains"
        )
        for path, ms in sorted(large.items(), key=lambda item: -item[1]):
            grows = ms > LIMIT_MS / 4 and ms > MAX_GROWTH * small.get(path, ms)
            verdict = "TOO SLOW" if ms > LIMIT_MS else "GROWS" if grows else ""
            is_met &= ms <= LIMIT_MS
            print(f"  {small.get(path, 0.0):8.1f} {ms:8.1f}  {path} {verdict}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
