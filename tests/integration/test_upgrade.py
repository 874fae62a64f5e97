"""An upgrade from the previous version keeps report files and the figures of analytics routes.

The reports are stored, their tables are brought to the schema of the previous version, and the
figures are computed from its raw rows in plain SQL. The upgraded database must have the same ones.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from sqlalchemy import Uuid, bindparam, inspect, select, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import IntegrityError

from app import ids
from app.db.transactions import now, transaction
from app.mailboxes.imap import ImapConfig
from app.models import Domain, ReportFile
from app.models.stored_json import SenderMetadata
from app.protocols.report_formats.aggregate import DkimResult, SpfResult
from app.protocols.report_formats.aggregate.records import Reason
from app.services.analytics import sources
from app.services.analytics.sources import ManualClassification
from app.services.core import encryption
from app.services.ingest import files
from app.services.mailboxes import access, mailboxes
from app.services.monitoring import report_monitor
from app.services.rollups import rollups
from app.settings.types import database_url as driver_url
from tests.support.api_client import Client, make_client
from tests.support.checked_domains import store_results
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.paths import ROOT
from tests.support.stored_reports import (
    DAY,
    Report,
    record,
    store,
    store_tls_report,
    tls_failure,
    tls_policy,
)

PREVIOUS = "0033"
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - 45 * DAY
PERIOD = f"from={START:%Y-%m-%dT%H:%M:%SZ}&to={TODAY + DAY:%Y-%m-%dT%H:%M:%SZ}"
FAILED: dict[str, Any] = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
ROUTES = (
    *(f"dmarc?groupBy={name}&" for name in ("source", "reporter", "disposition", "headerFrom")),
    *("sources?", "readiness?", "reporters?", "tls-rpt?"),
)
MESSAGES = """
    SELECT coalesce(sum(count), 0),
      coalesce(sum(CASE WHEN dkim OR spf THEN count ELSE 0 END), 0),
      coalesce(sum(CASE WHEN dkim THEN count ELSE 0 END), 0),
      coalesce(sum(CASE WHEN spf THEN count ELSE 0 END), 0)
    FROM dmarc_records WHERE domain_id = :domain
"""
GROUPS = {
    "source": "source_ip",
    "reporter": "reporter",
    "disposition": "disposition",
    "headerFrom": "header_from",
}
FILE_ROUTES = (
    "/v1/reports/files?status=rejected",
    "/v1/alerts?type=report.parse_failed_rate",
    "/v1/events",
)
SESSIONS = "SELECT sum(successful), sum(failed) FROM tls_policies WHERE domain_id = :domain"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database that only this module uses, as it changes the schema."""
    if request.param == "sqlite":
        directory: Path = tmp_path_factory.getbasetemp()
        return f"sqlite:///{directory / 'upgrade.db'}"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = make_url(driver_url(request.getfixturevalue("postgres_server").url))
    return url.set(database=f"mailwatch_upgrade_{worker}").render_as_string(hide_password=False)


@pytest.fixture
def client(app: Flask) -> Client:
    """A client that can call every route."""
    return make_client(app, make_account().id, rate_limit="1000000 per minute")


@pytest.fixture
def domain(client: Client) -> Domain:
    """A domain with reports of two reporters over 40 days, and a classified source."""
    domain = make_domain(client.account_id, "acme.test")
    store_results(domain)
    for day in range(40):
        store(domain, Report([*_rows(day)], begin=START + day * DAY))
    long_report = Report([record(count=70)], begin=START + DAY, length=5 * DAY)
    store(domain, long_report)
    unverified = Report([record("203.0.113.9", 9, **FAILED)], START, provenance="unverified")
    store(domain, unverified)
    store(domain, Report([record("2001:db8::1", 4)], START + 3 * DAY, reporter="yahoo.com"))
    failure = tls_failure(sessions=3, mx="mx.acme.test")
    for day in range(10):
        policies = [tls_policy(successful=50 + day, failed=3, failures=[failure])]
        store_tls_report(domain, policies, at=START + day * DAY + DAY / 2)
    rollups.compact_weeks()
    approved = ManualClassification("service:Mailchimp", "approved")
    sources.classify(client.account_id, domain.name, approved, actor=ACTOR)
    return domain


def _rows(day: int) -> Any:
    mailchimp = {
        "dkim": False,
        "spf": False,
        "dkim_results": (DkimResult("mcsv.net", "k1", "pass"),),
        "spf_results": (SpfResult("x.mcsv.net", "mfrom", "pass"),),
    }
    yield record("192.0.2.1", 900 + day)
    yield record("203.0.113.77", 20, disposition="quarantine", **mailchimp)
    yield record("198.51.100.9", 7, header_from="shop.acme.test", disposition="reject", **FAILED)
    yield record("198.51.100.5", 3, spf=False, reasons=(Reason("forwarded", None),))


def test_upgrade_keeps_the_answers_of_every_route(
    client: Client, domain: Domain, database: Engine, database_url: str
) -> None:
    before = answers(client, domain)
    migrate(database, database_url, is_upgrade=False)
    assert {"intakes", "uncounted_reports"} <= set(inspect(database).get_table_names())
    migrate(database, database_url, is_upgrade=True)
    assert answers(client, domain) == before


def test_upgraded_totals_are_those_of_the_previous_raw_rows(
    client: Client, domain: Domain, database: Engine, database_url: str
) -> None:
    migrate(database, database_url, is_upgrade=False)
    totals, groups, sessions = figures(database, domain)
    migrate(database, database_url, is_upgrade=True)
    for group_by, expected in groups.items():
        answer = get(client, f"dmarc?groupBy={group_by}&", domain)
        assert plain(answer["totals"]) == totals
        assert {group["key"]: group["messages"] for group in answer["groups"]} == expected
    messages = totals[0]
    senders = get(client, "sources?", domain)
    assert senders["messages"] == sum(row["messages"] for row in senders["sources"]) == messages
    assert sum(row["passed"] for row in senders["sources"]) == totals[1]
    reporters = get(client, "reporters?", domain)["reporters"]
    assert {row["reporter"]: row["messages"] for row in reporters} == groups["reporter"]
    simulated = simulate(client, domain)
    assert (simulated["messages"], simulated["passed"]) == (messages, totals[1])
    answer = get(client, "tls-rpt?", domain)["totals"]
    assert (answer["successful"], answer["failed"]) == sessions


def test_reports_queued_by_the_previous_version_are_rolled_up_after_the_upgrade(
    client: Client, database: Engine, database_url: str
) -> None:
    domain = make_domain(client.account_id, "queued.test")
    row = record("192.0.2.1", 12, header_from="queued.test")
    for day in range(3):
        store(domain, Report([row], START + day * DAY), is_pending=True)
    migrate(database, database_url, is_upgrade=False)
    with database.connect() as connection:
        queued = connection.execute(text("SELECT count(*) FROM uncounted_reports")).scalar()
    totals, _, _ = figures(database, domain)
    assert (queued, totals[0]) == (3, 36)
    migrate(database, database_url, is_upgrade=True)
    answer = get(client, "dmarc?", domain)
    assert plain(answer["totals"]) == totals
    assert answer["pendingReports"] == 0


def test_reports_of_the_previous_version_are_complete_after_the_upgrade(
    client: Client, database: Engine, database_url: str
) -> None:
    domain = make_domain(client.account_id, "complete.test")
    store(domain, Report([record()], START, skipped={"bad_number": 2}, skipped_messages=7))
    store_tls_report(domain, [tls_policy()], skipped_count=1, skipped_reasons={"bad_domain": 1})
    migrate(database, database_url, is_upgrade=False, previous="0040")
    for table in ("dmarc_reports", "tls_reports"):
        names = {column["name"] for column in inspect(database).get_columns(table)}
        assert not any("skipped" in name for name in names)
    migrate(database, database_url, is_upgrade=True)
    [aggregate] = client.data("GET", "/v1/reports/dmarc?partial=false")
    [tls] = client.data("GET", "/v1/reports/tls-rpt?partial=false")
    assert aggregate["messages"] == 1
    assert aggregate["skippedRecords"] == {"count": 0, "messages": 0, "reasons": {}}
    assert tls["skippedRecords"] == {
        **{"count": 0, "sessions": 0, "failedSessions": 0},
        "reasons": {},
    }


def test_mailboxes_of_the_previous_version_keep_their_options_and_passwords(
    client: Client, database: Engine, database_url: str
) -> None:
    """Before revision 0045, the options were columns, and the password was encrypted alone."""
    password = 'pä"ss'
    config = ImapConfig(host="imap.acme.test", port=143, username="a", password=password)
    config = replace(config, security="starttls", done_folder="Done", messages="all")
    rows = [
        mailboxes.add(client.account_id, replace(config, folder=name), actor=ACTOR)
        for name in ("INBOX", "Müll")
    ]
    migrate(database, database_url, is_upgrade=False, previous="0044")
    encrypted = encryption.encrypt(password, access.PASSWORD)
    with database.begin() as connection:
        connection.execute(text("UPDATE report_mailboxes SET password = :p"), {"p": encrypted})
        folders = text("SELECT folder, only_unread FROM report_mailboxes ORDER BY id")
        assert [tuple(row) for row in connection.execute(folders)] == [
            ("INBOX", False),
            ("Müll", False),
        ]
    migrate(database, database_url, is_upgrade=True)
    for row in rows:
        upgraded = mailboxes.find_any(row.id)
        assert upgraded.options == row.options
        assert access.config_of(upgraded) == access.config_of(row)
        assert access.renewed_secrets(upgraded).keys() == {"secrets_encrypted"}


def test_rejected_files_and_their_alert_are_quarantined_before_and_rejected_after_the_upgrade(
    client: Client, database: Engine, database_url: str
) -> None:
    add_rejected_files(client)
    report_monitor.evaluate_accounts()
    before = [client.data("GET", route) for route in FILE_ROUTES]
    assert all(before)
    migrate(database, database_url, is_upgrade=False, previous="0038")
    check_statuses(database, "quarantined", forbidden="rejected")
    with database.connect() as connection:
        for column in ("alerts.evidence", "alerts.message", "events.body"):
            table, _, name = column.partition(".")
            stored = connection.execute(text(f"SELECT CAST({name} AS TEXT) FROM {table}")).scalar()
            assert "quarantined" in str(stored), column
            assert "rejected" not in str(stored), column
    migrate(database, database_url, is_upgrade=True)
    check_statuses(database, "rejected", forbidden="quarantined")
    assert [client.data("GET", route) for route in FILE_ROUTES] == before


def test_unknown_sources_are_renamed_by_the_upgrade_and_its_downgrade(
    client: Client, database: Engine, database_url: str
) -> None:
    quoted = '{"sourceClass":"stranger"}'
    sender: SenderMetadata = {"address": "192.0.2.1", "mailFrom": quoted}
    file_id = files.store(
        client.account_id, b"x", received_via="http", sender_metadata=sender
    ).file.id
    stored = {**sender, "sourceClass": "unknown"}
    usage = "SELECT {0}_files, {0}_bytes FROM daily_ingest_usage"
    assert sender_metadata(file_id) == stored
    migrate(database, database_url, is_upgrade=False, previous="0039")
    assert sender_metadata(file_id) == {**sender, "sourceClass": "stranger"}
    with database.connect() as connection:
        assert connection.execute(text(usage.format("stranger"))).all() == [(1, 1)]
    migrate(database, database_url, is_upgrade=True)
    assert sender_metadata(file_id) == stored
    with database.connect() as connection:
        assert connection.execute(text(usage.format("unknown_source"))).all() == [(1, 1)]


def sender_metadata(report_file_id: UUID) -> SenderMetadata:
    """The stored metadata of the sender; its column has one name in every version."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(ReportFile.sender_metadata).where(ReportFile.id == report_file_id)
        ).one()


def add_rejected_files(client: Client) -> None:
    """Add so many rejected files that an alert reports them."""
    with transaction() as session:
        session.add_all(
            ReportFile(
                account_id=client.account_id,
                received_via="http",
                sha256=ids.new().bytes,
                size_bytes=1,
                status="rejected",
                reason="doctype",
                finished_at=now(session),
            )
            for _ in range(20)
        )


def check_statuses(database: Engine, status: str, *, forbidden: str) -> None:
    """Check that all files have the status, and that the database refuses the forbidden one."""
    with database.connect() as connection:
        statuses = connection.execute(text("SELECT DISTINCT status FROM report_files"))
        assert statuses.scalars().all() == [status]
        with pytest.raises(IntegrityError):
            connection.execute(text(f"UPDATE report_files SET status = '{forbidden}'"))


def migrate(database: Engine, url: str, *, is_upgrade: bool, previous: str = PREVIOUS) -> None:
    """Bring the database to the newest schema, or to that of a previous revision."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    database.dispose()  # its connections have statements of the other schema
    if is_upgrade:
        command.upgrade(config, "head")
    else:
        command.downgrade(config, previous)


def figures(
    database: Engine, domain: Domain
) -> tuple[tuple[int, ...], dict[str, dict[str, int]], tuple[int, ...]]:
    """Return totals, messages by group and TLS sessions, from the raw rows in plain SQL."""
    with database.connect() as connection:

        def rows(statement: str) -> Any:
            query = text(statement).bindparams(bindparam("domain", type_=Uuid))
            return connection.execute(query, {"domain": domain.id}).all()

        totals = tuple(int(value) for value in rows(MESSAGES)[0])
        groups = {
            name: {
                key: int(messages)
                for key, messages in rows(
                    f"SELECT {column}, sum(dmarc_records.count) FROM dmarc_records"
                    " JOIN dmarc_reports ON dmarc_reports.id = dmarc_records.report_id"
                    f" WHERE dmarc_records.domain_id = :domain GROUP BY {column}"
                )
            }
            for name, column in GROUPS.items()
        }
        sessions = tuple(int(value or 0) for value in rows(SESSIONS)[0])
    return totals, groups, sessions


def plain(totals: dict[str, Any]) -> tuple[int, ...]:
    """Return the totals of an answer in the order of ``figures``."""
    return tuple(totals[name] for name in ("messages", "passed", "dkimAligned", "spfAligned"))


def get(client: Client, route: str, domain: Domain) -> Any:
    return client.data("GET", f"/v1/reports/analytics/{route}domain={domain.name}&{PERIOD}")


def simulate(client: Client, domain: Domain) -> Any:
    period = {"from": START.isoformat(), "to": (TODAY + timedelta(days=1)).isoformat()}
    body = {"domain": domain.name, "policy": {"p": "reject"}, **period}
    return client.data("POST", "/v1/reports/analytics/simulate", json=body)


def answers(client: Client, domain: Domain) -> dict[str, Any]:
    """Return the complete answers of all analytics routes."""
    return {route: get(client, route, domain) for route in ROUTES} | {
        "simulate": simulate(client, domain)
    }
