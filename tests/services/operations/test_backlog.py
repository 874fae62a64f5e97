"""What waits is counted up to a limit, from indexes of unfinished work."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text, update
from sqlalchemy.engine import Engine

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.models import Alert, Channel, Delivery, Domain, Event, Scan
from app.services.operations import backlog
from app.services.operations.backlog import Backlog
from tests.support.factories import make_account, make_domain, make_scan

pytestmark = pytest.mark.usefixtures("database")
FINISHED = 20_000


def read() -> dict[str, Backlog]:
    with transaction(readonly=True) as session:
        return {item.work: item for item in backlog.read(session, transactions.now(session))}


def finished_scans(domain: Domain, count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": ids.new(),
            "account_id": domain.account_id,
            "domain_id": domain.id,
            "domain_name": domain.name,
            "status": "completed",
        }
        for _ in range(count)
    ]


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


def test_queries_use_the_indexes_of_unfinished_work(database: Engine) -> None:
    domain = make_domain(make_account().id, "acme.test")
    with transaction() as session:
        session.execute(insert(Scan), finished_scans(domain, FINISHED))
    make_scan(domain.account_id, domain.name)
    is_sqlite = database.dialect.name == "sqlite"
    statements: list[tuple[str, Any]] = []
    with database.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database, "before_cursor_execute", note)
    try:
        read()
        with transaction(readonly=True) as session:
            backlog.running_scans(session)
    finally:
        event.remove(database, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    plans = []
    with database.connect() as connection:
        for statement, parameters in statements:
            if "FROM scans" in statement:
                rows = connection.exec_driver_sql(explain + statement, parameters).all()
                plans.append("\n".join(str(row[-1]) for row in rows))
    assert len(plans) == 2
    for plan in plans:
        assert "ix_scans_unfinished_status" in plan or "uq_scans_unfinished" in plan, plan


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
