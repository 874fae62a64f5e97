"""The commands `flask export` and `flask sinks`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import AuditEvent
from app.services.forwarding import forwarding, sinks
from app.settings import Settings
from tests.support import stored_records
from tests.support.factories import make_account, make_app, make_domain
from tests.support.paths import ROOT
from tests.support.receivers import LoopbackNetwork, Receiver, receiving
from tests.support.record_receivers import USER, SearchEngine
from tests.support.report_documents import dmarc_xml
from tests.support.stored_records import DOMAIN, ids_of, read_all, store_reports

Run = Callable[..., str]


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account("Acme")
    make_domain(account.id, DOMAIN)
    return account.id


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app = make_app(database, settings)
    app.extensions["network"] = LoopbackNetwork()

    def invoke(*arguments: object, status: int = 0, typed: str = "") -> str:
        words = [str(word) for word in arguments]
        result = app.test_cli_runner().invoke(args=words, input=typed)
        assert result.exit_code == status, result.output
        return result.output

    return invoke


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as started:
        yield started


def test_export_continues_from_its_cursor_and_appends(
    account_id: UUID, run: Run, tmp_path: Path
) -> None:
    stored_records.store_all_kinds(account_id)
    file = tmp_path / "records.ndjson"
    output = run("export", "--account", "Acme", "--output", file)
    (cursor,) = re.findall(r"--since (\S+)$", output, re.MULTILINE)
    store_reports(account_id, dmarc_xml(report_id="later"))
    run("export", "--account", "Acme", "--output", file, "--since", cursor)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert ids_of(lines) == ids_of(read_all(account_id))
    with transaction(readonly=True) as session:
        targets = session.scalars(
            select(AuditEvent.target).where(AuditEvent.action == "export.created")
        ).all()
    assert targets == ["records.ndjson"] * 2


def test_standard_output_has_only_records_of_the_selected_kinds(
    account_id: UUID, database: Engine, settings: Settings
) -> None:
    stored_records.store_all_kinds(account_id)
    environment = {
        **os.environ,
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "LOG_LEVEL": "debug",
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "export", "--account", "Acme"]
    result = subprocess.run(
        [*command, "--kind", "finding", "--kind", "alert"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["kind"] for line in lines} == {"finding", "alert"}
    assert f"{len(lines)} records. Continue with: --since" in result.stderr


def test_export_refuses_an_invalid_cursor_and_an_unwritable_file(
    account_id: UUID, run: Run, tmp_path: Path
) -> None:
    assert account_id
    assert "cursor" in run("export", "--account", "Acme", "--since", "x", status=1)
    missing = tmp_path / "missing" / "records.ndjson"
    assert "cannot be written" in run("export", "--account", "Acme", "--output", missing, status=1)


def test_sink_is_added_tested_listed_and_removed(
    account_id: UUID, run: Run, receiver: Receiver
) -> None:
    store_reports(account_id, dmarc_xml())
    engine = SearchEngine(receiver)
    base = ("sinks", "add", "--account", "Acme", "--name", "search", "--type", "bulk")
    url = receiver.url.removesuffix("/hook")
    options = ("--url", url, "--ca-certificates-file", receiver.ca_file)
    output = run(*base, *options, "--from-start", typed=f"{USER}\n")
    assert USER not in output
    (sink_id,) = re.findall(r"sink_\w+", output)
    target = ("--account", "Acme", sink_id)
    assert "accepted" in run("sinks", "test", *target)
    assert "waiting since" in run("sinks", "list", "--account", "Acme")
    forwarding.run(LoopbackNetwork())
    assert len(engine.documents) == 2
    [row] = json.loads(run("sinks", "list", "--account", "Acme", "--json"))
    assert (row["id"], row["forwardedCount"], row["waitingSince"]) == (sink_id, 1, None)
    assert json.loads(run("sinks", "show", "--json", *target))["skipped"] == {}
    shown = run("sinks", "show", *target)
    assert "1 forwarded" in shown
    assert "waiting since" not in shown
    assert "Nothing was changed" in run("sinks", "skip", *target, status=1)
    assert f"Sink {sink_id} (bulk, search) skips" in run("sinks", "skip", "--yes", *target)
    run("sinks", "remove", *target, "--yes")
    assert sinks.search(account_id) == []
    assert f"Not found: sink {sink_id}" in run("sinks", "show", *target, status=1)


def test_webhook_secret_is_printed_once_and_options_are_checked(account_id: UUID, run: Run) -> None:
    assert account_id
    add = ("sinks", "add", "--account", "Acme", "--name", "hook", "--type", "webhook")
    assert "whsec_" in run(*add, "--url", "https://hooks.acme.test/records")
    assert "not an option of this type" in run(*add, "--index", "x", status=2)
    assert "url: " in run(*add, "--url", "ftp://x.test", status=1)
    assert "--ca-certificates-file" in run("sinks", "types")


def test_sink_is_edited_and_asks_for_its_secret_only_if_it_uses_one(
    account_id: UUID, run: Run
) -> None:
    add = ("sinks", "add", "--account", "Acme", "--name", "search", "--type", "bulk")
    url = "https://search.acme.test:9200"
    output = run(*add, "--url", url, "--authentication", "none")
    assert "Password" not in output
    (sink_id,) = re.findall(r"sink_\w+", output)
    edit = ("sinks", "edit", "--account", "Acme", sink_id)
    run(*edit, "--index", "mail", "--name", "mail search")
    (row,) = sinks.search(account_id)
    assert (row.name, row.options["index"], row.options["url"]) == ("mail search", "mail", url)
    assert "required if" in run(*edit, "--authentication", "basic", status=1)
    run(*edit, "--authentication", "basic", "--secrets", typed=f"{USER}\n")
    (row,) = sinks.search(account_id)
    assert sinks.config_of(row).secrets() == {"secret": USER}
    refused = run(*edit, "--url", "https://other.acme.test", status=1)
    assert "Enter it again, because this has changed: URL" in refused
