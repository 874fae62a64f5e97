"""Metrics for monitoring, for callers with the token only."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app import settings as app_settings
from app.services.filing import processor
from app.services.ingest import files
from app.settings import Settings
from tests.support.api_client import Client
from tests.support.factories import make_domain, make_scan
from tests.support.report_documents import dmarc_xml
from tests.support.stored_reports import DAY, Report, record, store, store_tls_report

TOKEN = "the metrics token".replace(" ", "-")


def read(app: Flask, token: str | None) -> tuple[int, Mapping[str, Sequence[Sample]]]:
    """Return the status, and the samples of each metric by its name."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = app.test_client().get("/metrics", headers=headers)
    if response.status_code != 200:
        return response.status_code, {}
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    metrics = text_string_to_metric_families(response.text)
    return 200, {metric.name: metric.samples for metric in metrics}


def value(samples: Sequence[Sample], **labels: str) -> float:
    """Return the value of the sample with these labels."""
    return next(sample.value for sample in samples if sample.labels == labels)


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ä"])
def test_metrics_require_the_configured_token(
    app: Flask, settings: Settings, token: str | None
) -> None:
    assert read(app, token)[0] == 404
    app_settings.use(settings.replace(metrics_token=TOKEN))
    assert read(app, token)[0] == 404


def test_metrics_count_queued_and_finished_work(
    app: Flask, client: Client, settings: Settings
) -> None:
    make_domain(client.account_id, "acme.test")
    for raw in (dmarc_xml(), b"hello"):
        files.store(client.account_id, raw, received_via="http")
    processor.run([])
    files.store(client.account_id, dmarc_xml(report_id="r2"), received_via="http")
    make_scan(client.account_id, "acme.test")
    app_settings.use(settings.replace(metrics_token=TOKEN))
    status, metrics = read(app, TOKEN)
    assert status == 200
    files_by_status = metrics["mailwatch_report_files"]
    assert value(files_by_status, status="parsed", reason="") == 1
    assert value(files_by_status, status="received", reason="") == 1
    assert value(files_by_status, status="rejected", reason="not_a_report") == 1
    assert value(metrics["mailwatch_scans"], status="queued") == 1
    assert value(metrics["mailwatch_report_file_oldest_received_seconds"]) >= 0
    assert value(metrics["mailwatch_skipped_records"], kind="dmarc", reason="bad_number") == 0
    assert metrics["mailwatch_queue_jobs"] == []  # Redis is unavailable


def test_metrics_count_records_that_cannot_be_read_by_known_reasons(
    app: Flask, client: Client, settings: Settings
) -> None:
    domain = make_domain(client.account_id, "acme.test")
    now = datetime.now(UTC)
    rows = [record("192.0.2.1")]
    for days, skipped in (
        (1, {"bad_number": 2, "bad_source_ip": 1}),
        (3, {"bad_number": 3, "from_a_later_release": 4}),
        (20, {"bad_number": 100}),
    ):
        store(domain, Report(rows, now - days * DAY, skipped=skipped))
    store_tls_report(domain, [], at=now - DAY, skipped_count=5, skipped_reasons={"bad_domain": 5})
    app_settings.use(settings.replace(metrics_token=TOKEN))
    samples = read(app, TOKEN)[1]["mailwatch_skipped_records"]
    numbers = {tuple(sample.labels.values()): sample.value for sample in samples if sample.value}
    assert numbers == {
        ("dmarc", "bad_number"): 5,
        ("dmarc", "bad_source_ip"): 1,
        ("dmarc", "other"): 4,
        ("tls", "bad_domain"): 5,
    }
