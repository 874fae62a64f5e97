"""The overview page of an account with many domains: its CPU time in the server.

    ./dev bench overview [--domains 5000] [--records 1000000]

Every domain has email in 30 days, alerts, scans whose verdicts changed, and changes of records. The
figures of email are counted from the hourly rollups, as the clock process does.
"""

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from app import create_app, ids, settings
from app.analysis.mail.periods import WEEK, hour_of
from app.db import transactions
from app.db.engine import connect
from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, DmarcHour, DmarcWeek, DnsChange, Domain, Scan
from app.services.domain_status import dashboard, mail_figures
from app.settings import Settings
from app.settings import types as setting_types
from bench import backends
from tests.support.dashboard_browser import make_browser
from tests.support.factories import make_account, make_domains

TARGET_MILLISECONDS = 100.0
ROUNDS = 15
BATCH = 5_000
NOW = datetime.now(UTC)


def main(arguments: list[str]) -> int:
    """Exit status 1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="./dev bench overview")
    parser.add_argument("--domains", type=int, default=5_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    is_met = True
    for kind in ("sqlite", "postgresql"):
        with backends.database(kind) as url:
            is_met &= _measure(kind, setting_types.database_url(url), options)
    return 0 if is_met else 1


def _measure(kind: str, url: str, options: Any) -> bool:
    chosen = Settings(
        secret_key=backends.SECRET,
        database_url=url,
        redis_url=backends.NO_REDIS,
        allow_special_use_names=True,
        domain_verification="off",
        dashboard_rate_limit="1000000 per minute",
    )
    settings.use(chosen)
    engine = connect(url, statement_seconds=3600)
    transactions.bind(engine)
    queue.bind(chosen.redis_url)
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose
    account = make_account()
    domain_ids = _fill(account.id, options.domains, options.records)
    _report(
        kind, f"counting the email of {len(domain_ids)} domains", _times(mail_figures.refresh, 1)
    )
    browser = make_browser(create_app(chosen), "ann@acme.test", account=account)
    browser.sign_in()
    _report(kind, "figures", _times(lambda: dashboard.of_account(account.id, 30), ROUNDS))
    took = _times(lambda: browser.get("/"), ROUNDS)
    _report(kind, "page", took)
    engine.dispose()
    return statistics.median(cpu for _, cpu in took) < TARGET_MILLISECONDS


def _fill(account_id: UUID, domains: int, records: int) -> list[UUID]:
    make_domains(account_id, domains)
    with transaction(readonly=True) as session:
        domain_ids = list(session.scalars(select(Domain.id).where(Domain.account_id == account_id)))
    for table, rows in (
        (DmarcHour, _hours(domain_ids, records // domains)),
        (DmarcWeek, _weeks(domain_ids)),
        (Scan, _scans(account_id, domain_ids)),
        (DnsChange, _changes(account_id, domain_ids)),
        (Alert, _alerts(account_id, domain_ids)),
    ):
        for batch in iter(lambda rows=rows: list(islice(rows, BATCH)), []):  # type: ignore[misc]
            with transaction() as session:
                session.execute(insert(table), batch)
    return domain_ids


def _hours(domain_ids: list[UUID], count: int) -> Iterator[dict[str, Any]]:
    last = hour_of(NOW)
    for domain_id in domain_ids:
        for number in range(count):
            yield {
                "domain_id": domain_id,
                "hour": last - 12 - number % 30 * 24,
                "reporter": f"r{number // 60}.example",
                "header_from": "a.test",
                "disposition": "none",
                "dkim": number // 30 % 2 == 0,
                "spf": False,
                "trusted": True,
                "messages": 10,
            }


def _weeks(domain_ids: list[UUID]) -> Iterator[dict[str, Any]]:
    start = hour_of(NOW) // WEEK * WEEK
    for domain_id in domain_ids:
        yield {"domain_id": domain_id, "start": start, "version": 1}


def _scans(account_id: UUID, domain_ids: list[UUID]) -> Iterator[dict[str, Any]]:
    for number, domain_id in enumerate(domain_ids):
        yield {
            "id": ids.new(),
            "account_id": account_id,
            "domain_id": domain_id,
            "domain_name": f"d{number}.test",
            "status": "completed",
            "finished_at": NOW - timedelta(seconds=number),
            "verdict_changes": {"spf": ["ok", "fail"]},
        }


def _changes(account_id: UUID, domain_ids: list[UUID]) -> Iterator[dict[str, Any]]:
    for number, domain_id in enumerate(domain_ids * 10):
        yield {
            "id": ids.new(),
            "account_id": account_id,
            "domain_id": domain_id,
            "scan_id": domain_id,
            "at": NOW,
            "check": "spf",
            "name": f"n{number}.test",
            "type": "TXT",
            "before": ["v=spf1 -all"],
            "after": ["v=spf1 ~all"],
        }


def _alerts(account_id: UUID, domain_ids: list[UUID]) -> Iterator[dict[str, Any]]:
    for number, domain_id in enumerate(domain_ids * 4):
        is_resolved = number % 4 == 0
        yield {
            "id": ids.new(),
            "account_id": account_id,
            "domain_id": domain_id,
            "domain_name": "d.test",
            "type": ("spf.missing", "dmarc.missing", "mx.missing", "source.new")[number % 4],
            "subject": f"s{number}",
            "severity": "high",
            "status": "resolved" if is_resolved else "open",
            "resolved_at": NOW if is_resolved else None,
            "title": "SPF is missing",
            "message": "d.test: SPF is missing",
        }


def _times(call: Callable[[], object], rounds: int) -> list[tuple[float, float]]:
    """(wall, CPU) milliseconds of each call; several calls follow one that warms up."""
    if rounds > 1:
        call()
    took = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        took.append((1_000 * (time.perf_counter() - wall), 1_000 * (time.process_time() - cpu)))
    return took


def _report(kind: str, name: str, took: list[tuple[float, float]]) -> None:
    wall = statistics.median(wall for wall, _ in took)
    cpu = statistics.median(cpu for _, cpu in took)
    sys.stdout.write(f"{kind:12} {name:45} {wall:9.1f} ms wall {cpu:9.1f} ms CPU\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
