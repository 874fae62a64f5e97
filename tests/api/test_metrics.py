"""Numbers for monitoring, for nobody but who has their token."""

from collections.abc import Mapping

import pytest
from flask import Flask

from app import settings as app_settings
from app.services.ingest import files, processor
from app.settings import Settings
from tests.support.api_client import Client
from tests.support.factories import make_domain, make_scan
from tests.support.report_documents import dmarc_xml

TOKEN = "a metrics token".replace(" ", "-")


def read(app: Flask, token: str | None) -> tuple[int, Mapping[str, float]]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = app.test_client().get("/metrics", headers=headers)
    if response.status_code != 200:
        return response.status_code, {}
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return 200, {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ä"])
def test_nobody_else_finds_them(app: Flask, settings: Settings, token: str | None) -> None:
    assert read(app, token)[0] == 404
    app_settings.use(settings.replace(metrics_token=TOKEN))
    assert read(app, token)[0] == 404


def test_they_count_what_waits_and_what_ended(
    app: Flask, client: Client, settings: Settings
) -> None:
    make_domain(client.account_id, "acme.test")
    for raw in (dmarc_xml(), b"hello"):
        files.store(client.account_id, raw, received_via="http")
    processor.run([])
    files.store(client.account_id, dmarc_xml(report_id="r2"), received_via="http")
    make_scan(client.account_id, "acme.test")
    app_settings.use(settings.replace(metrics_token=TOKEN))
    status, found = read(app, TOKEN)
    assert status == 200
    assert found['mailwatch_report_files{status="parsed",reason=""}'] == 1
    assert found['mailwatch_report_files{status="received",reason=""}'] == 1
    assert found['mailwatch_report_files{status="quarantined",reason="not_a_report"}'] == 1
    assert found['mailwatch_scans{status="queued"}'] == 1
    assert found["mailwatch_report_file_oldest_received_seconds"] >= 0
    assert not any(name.startswith("mailwatch_queue_jobs") for name in found)
