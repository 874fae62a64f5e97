"""Metrics for Prometheus, for callers with the token only."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from redis import Redis

from app import settings as app_settings
from app.db import engine as db_engine
from app.db import transactions
from app.metrics import definitions, increments
from app.services.emails import emails
from app.services.filing import processor
from app.services.ingest import files
from app.services.scans import runner, scans
from app.settings import Settings
from tests.support.api_client import Client
from tests.support.factories import make_app, make_domain, make_scan
from tests.support.metric_samples import TOKEN, nonzero, scrape, value
from tests.support.report_documents import dmarc_xml
from tests.support.stored_reports import DAY, Report, record, store
from tests.support.zones import Zone, ZoneNetwork


@pytest.fixture
def counted(app: Flask, redis_url: str) -> Flask:
    """The application, connected to an empty Valkey."""
    increments.flush()  # what earlier tests have counted
    with Redis.from_url(redis_url) as client:
        client.flushall()
    return app


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ä"])
def test_metrics_require_the_configured_token(
    app: Flask, settings: Settings, token: str | None
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/metrics", headers=headers).status_code == 404
    app_settings.use(settings.replace(metrics_token=TOKEN))
    assert app.test_client().get("/metrics", headers=headers).status_code == 404


def test_samples_exist_before_anything_has_happened(counted: Flask, settings: Settings) -> None:
    samples = scrape(counted, settings)
    names = [f"{counter.name}_total" for counter in definitions.COUNTERS]
    names += [f"{histogram.name}_count" for histogram in definitions.HISTOGRAMS]
    assert not [name for name in names if not samples.get(name)]
    assert value(samples, "scans_total", status="failed") == 0
    assert value(samples, "deliveries_total", outcome="abandoned") == 0
    assert value(samples, "dns_queries_total", server="resolver", outcome="servfail") == 0
    assert value(samples, "http_requests_total", route="GET /v1/domains", code="500") == 0
    assert value(samples, "scan_duration_seconds_bucket", le="+Inf") == 0
    assert value(samples, "queue_oldest_seconds", queue="scans", work="scans") == 0
    assert value(samples, "worker_last_seen_timestamp_seconds", queue="ingest") == 0
    assert value(samples, "clock_last_tick_timestamp_seconds") == 0
    assert value(samples, "database_up") == value(samples, "redis_up") == 1
    (build,) = samples["build_info"]
    assert build.value == 1
    assert build.labels["version"].count(".") == 2


def test_requests_are_counted_by_rule_and_never_by_path(
    counted: Flask, client: Client, settings: Settings
) -> None:
    make_domain(client.account_id, "acme.test")
    headers = {"Authorization": f"Bearer {client.token}"}
    for path in ("/v1/domains/acme.test", "/v1/domains/none.test", "/v1/me", "/nothing", "/x/y"):
        counted.test_client().get(path, headers=headers)
    counted.test_client().open("/v1/me", method="BREW", headers=headers)
    samples = scrape(counted, settings)
    counts = nonzero(samples, "http_requests_total", "route", "code")
    assert counts["GET /v1/domains/<domain>", "200"] == 1
    assert counts["GET /v1/domains/<domain>", "404"] == 1
    assert counts["unmatched", "404"] == 2
    assert counts["unmatched", "405"] == 1
    known = {
        f"{method} {rule.rule}"
        for rule in counted.url_map.iter_rules()
        for method in rule.methods or ()
    }
    assert {sample.labels["route"] for sample in samples["http_requests_total"]} - known == {
        "unmatched"
    }
    assert nonzero(samples, "http_request_duration_seconds_count", "area")["api",] == 3


def test_buckets_of_a_histogram_are_cumulative(counted: Flask, settings: Settings) -> None:
    for seconds in (0.5, 0.6, 3, 1000):
        definitions.SCAN_SECONDS.observe(seconds)
    samples = scrape(counted, settings)
    counts = [sample.value for sample in samples["scan_duration_seconds_bucket"]]
    assert counts == [1, 2, 2, 3, 3, 3, 3, 4]
    assert value(samples, "scan_duration_seconds_count") == 4
    assert value(samples, "scan_duration_seconds_sum") == 1004.1


def test_finished_work_is_counted(counted: Flask, client: Client, settings: Settings) -> None:
    make_domain(client.account_id, "acme.test")
    for raw in (dmarc_xml(), dmarc_xml() + b" ", b"hello"):
        files.store(client.account_id, raw, received_via="http")
    processor.run([])
    scan = make_scan(client.account_id, "acme.test")
    runner.run([scan.id], ZoneNetwork(Zone({})))
    cancelled = make_scan(client.account_id, "acme.test")
    scans.cancel(client.account_id, cancelled.id)
    with transactions.transaction() as session:
        new = emails.NewEmail(recipient="a@b.test", kind="test", subject="s", body="b")
        emails.enqueue(session, new)
    samples = scrape(counted, settings)
    assert nonzero(samples, "report_files_total", "status", "reason") == {
        ("parsed", ""): 1,
        ("duplicate", ""): 1,
        ("rejected", "not_a_report"): 1,
    }
    assert nonzero(samples, "scans_total", "status") == {("completed",): 1, ("cancelled",): 1}
    assert value(samples, "scan_duration_seconds_count") == 1
    assert nonzero(samples, "emails_total", "outcome") == {("skipped",): 1}
    opened = nonzero(samples, "alert_events_total", "event")["opened",]
    assert opened == sum(nonzero(samples, "alerts_open", "severity").values()) > 0


def test_records_that_cannot_be_read_are_counted_by_reason(
    counted: Flask, client: Client, settings: Settings
) -> None:
    make_domain(client.account_id, "acme.test")
    readable = dmarc_xml()
    start, stop = readable.index(b"<record>"), readable.index(b"</record>") + len(b"</record>")
    broken = readable[start:stop].replace(b"<count>", b"<count>x")
    files.store(client.account_id, readable[:stop] + broken + readable[stop:], received_via="http")
    processor.run([])
    samples = scrape(counted, settings)
    assert nonzero(samples, "skipped_records_total", "kind", "reason") == {
        ("dmarc", "bad_number"): 1
    }


def test_waiting_work_is_shown_with_its_age(
    counted: Flask, client: Client, settings: Settings
) -> None:
    make_domain(client.account_id, "acme.test")
    make_scan(client.account_id, "acme.test")
    files.store(client.account_id, dmarc_xml(), received_via="http")
    samples = scrape(counted, settings)
    assert nonzero(samples, "queue_items", "queue", "work") == {
        ("scans", "scans"): 1,
        ("ingest", "report_files"): 1,
    }
    assert value(samples, "queue_oldest_seconds", queue="scans", work="scans") > 0
    assert value(samples, "queue_oldest_seconds", queue="delivery", work="emails") == 0
    assert value(samples, "queue_jobs", queue="scans") >= 1


def test_without_redis_no_total_is_shown(app: Flask, client: Client, settings: Settings) -> None:
    make_scan(client.account_id, make_domain(client.account_id, "acme.test").name)
    samples = scrape(app, settings)
    assert value(samples, "redis_up") == 0
    assert value(samples, "queue_items", queue="scans", work="scans") == 1
    # A total of this process alone would be a reset, and the return of Redis an increase by all.
    assert not [name for name in samples if name.endswith("_total")]
    assert "queue_jobs" not in samples
    assert "clock_last_tick_timestamp_seconds" not in samples


def test_without_the_database_totals_are_shown(
    redis_url: str, settings: Settings, database: object
) -> None:
    away = settings.replace(database_url="postgresql://user@127.0.0.1:1/none")
    app = make_app(db_engine.connect(away.database_url), away)
    samples = scrape(app, away)
    assert value(samples, "database_up") == 0
    assert value(samples, "redis_up") == 1
    assert value(samples, "scans_total", status="completed") == 0
    assert "queue_items" not in samples


def test_domains_are_shown_up_to_the_number_of_the_setting(
    counted: Flask, client: Client, settings: Settings
) -> None:
    domains = [make_domain(client.account_id, f"d{number}.test") for number in range(3)]
    runner.run([make_scan(client.account_id, "d0.test").id], ZoneNetwork(Zone({})))
    rows = [record("192.0.2.1", 3), record("192.0.2.2", 1, dkim=False, spf=False)]
    store(domains[1], Report(rows, datetime.now(UTC) - DAY))
    assert "domain_score" not in scrape(counted, settings)
    limit = 2 if settings.database_url.startswith("sqlite") else 1
    shown = settings.replace(metrics_domains=limit)
    samples = scrape(counted, shown)
    assert [sample.labels["domain"] for sample in samples["domain_score"]] == ["d0.test"]
    rates = [sample.value for sample in samples.get("domain_dmarc_pass_rate", ())]
    assert rates == [0.75][: limit - 1]
