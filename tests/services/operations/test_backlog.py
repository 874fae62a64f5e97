"""What waits is counted up to a limit, from indexes of unfinished work."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.engine import Engine

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.models import Alert, Channel, Delivery, Domain, Email, Event, ReportFile, Scan
from app.services.operations import backlog
from app.services.operations.backlog import Backlog
from tests.support import query_plans
from tests.support.factories import make_account, make_domain, make_scan

pytestmark = pytest.mark.usefixtures("database")
FINISHED = 3_000  # rows in each table
FIRST = 1_000_000  # of their numbers, which no sequence reaches


def read() -> dict[str, Backlog]:
    with transaction(readonly=True) as session:
        return {item.work: item for item in backlog.read(session, transactions.now(session))}


def test_no_more_than_the_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = make_account().id
    for number in range(4):
        make_scan(account_id, make_domain(account_id, f"d{number}.test").name)
    assert read()["scans"].count == 4
    monkeypatch.setattr(backlog, "LIMIT", 3)
    assert read()["scans"].count == 3


def test_age_is_that_of_the_oldest_scan() -> None:
    account_id = make_account().id
    old, _ = (make_scan(account_id, make_domain(account_id, f"d{n}.test").name) for n in range(2))
    with transaction() as session:
        now = transactions.now(session)
        since = now - timedelta(hours=2)
        session.execute(update(Scan).where(Scan.id == old.id).values(requested_at=since))
        (scans, *_) = backlog.read(session, now)
        assert scans.seconds(now) == 7200


def test_delivery_is_late_from_the_time_at_which_it_is_due() -> None:
    account_id = make_account().id
    with transaction() as session:
        now = transactions.now(session)
        channels = [
            Channel(
                id=ids.new(),
                account_id=account_id,
                kind="webhook",
                name=name,
                target="https://hook.test/",
                created_by="cli",
                disabled_at=now if name == "disabled" else None,
            )
            for name in ("first", "disabled")
        ]
        session.add_all(channels)
        events = [Event(account_id=account_id, type="test", body={}, at=now) for _ in range(3)]
        session.add_all(events)
        session.flush()
        for channel, number, minutes in ((0, 0, -5), (0, 1, 60), (1, 2, -600)):
            session.add(
                Delivery(
                    account_id=account_id,
                    channel_id=channels[channel].id,
                    event_number=events[number].number,
                    next_at=now + timedelta(minutes=minutes),
                )
            )
        session.flush()
        deliveries = {item.work: item for item in backlog.read(session, now)}["deliveries"]
        assert (deliveries.count, deliveries.seconds(now)) == (3, 300)


def finished_rows(domain: Domain, channel_id: UUID) -> Mapping[Any, Any]:
    """A function for each table that makes a row which waits for nothing, from a number."""
    account_id, domain_id = domain.account_id, domain.id
    owner = {"account_id": account_id, "domain_id": domain_id}
    return {
        Scan: lambda _: {**owner, "domain_name": domain.name, "status": "completed"},
        ReportFile: lambda n: {
            "account_id": account_id,
            "received_via": "http",
            "sha256": n.to_bytes(32),
            "size_bytes": 1,
            "status": "parsed",
        },
        Event: lambda n: {"number": n, "account_id": account_id, "type": "test", "body": {}},
        Delivery: lambda n: {
            "account_id": account_id,
            "channel_id": channel_id,
            "event_number": n,
            "status": "delivered",
        },
        Email: lambda n: {
            "recipient": f"p{n}@a.test",
            "kind": "test",
            "subject": "s",
            "body": "",
            "status": "sent",
        },
        Alert: lambda n: {
            **owner,
            "type": "spf.missing",
            "subject": str(n),
            "status": "resolved",
            "severity": "high",
            "title": "t",
            "message": "m",
        },
    }


def fill_with_finished_work(domain: Domain) -> None:
    """Store FINISHED rows in each table."""
    account_id, channel_id = domain.account_id, ids.new()
    with transaction() as session:
        channel = {"name": "c", "kind": "webhook", "target": "t", "created_by": "cli"}
        session.execute(insert(Channel), [{"id": channel_id, "account_id": account_id, **channel}])
        for table, row in finished_rows(domain, channel_id).items():
            session.execute(insert(table), [row(FIRST + number) for number in range(FINISHED)])


def test_no_query_reads_a_table_of_finished_work(database: Engine) -> None:
    domain = make_domain(make_account().id, "acme.test")
    fill_with_finished_work(domain)
    with database.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()

    def read_all() -> None:
        read()
        with transaction(readonly=True) as session:
            backlog.running_scans(session)
            backlog.open_alerts(session)

    by_query = query_plans.plans(database, read_all)
    assert len(by_query) >= 8
    tables = "scans|report_files|deliveries|emails|alerts"
    # SQLite searches an index, or scans a partial one; PostgreSQL names the index.
    whole_table = re.compile(rf"Seq Scan on ({tables})\b|SCAN ({tables})$", re.MULTILINE)
    assert {query: plan for query, plan in by_query.items() if whole_table.search(plan)} == {}


def test_open_alerts_are_counted_by_severity() -> None:
    domain = make_domain(make_account().id, "acme.test")
    rows = (("a", "open", "high"), ("b", "open", "high"), ("c", "resolved", "high"))
    with transaction() as session:
        now = transactions.now(session)
        for subject, status, severity in (*rows, ("d", "snoozed", "low")):
            session.add(
                Alert(
                    account_id=domain.account_id,
                    domain_id=domain.id,
                    type="spf.missing",
                    subject=subject,
                    status=status,
                    severity=severity,
                    title="No SPF record",
                    message="There is no SPF record.",
                    first_seen_at=now,
                    last_seen_at=now,
                )
            )
        session.flush()
        counts = backlog.open_alerts(session)
    assert counts == {"critical": 0, "high": 2, "medium": 0, "low": 0, "info": 0}
