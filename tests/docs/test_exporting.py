"""docs/exporting.md: its field tables match the code, and its examples work."""

import json
import os
import re
import shlex
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import trustme
from flask import Flask
from sqlalchemy.engine import Engine
from werkzeug.serving import make_server

from app.services.forwarding import forwarding
from app.services.forwarding.kinds import KINDS
from app.settings import Settings
from app.sinks.registry import SINK_TYPES
from app.sinks.syslog import PORTS
from devtools import record_tables
from tests.support import cli, stored_records
from tests.support.factories import make_account, make_app, make_domain, make_key
from tests.support.paths import DOCS
from tests.support.receivers import HOST, LoopbackNetwork, Receiver, receiving
from tests.support.record_receivers import TOKEN, USER, EventCollector, SearchEngine
from tests.support.report_documents import dmarc_xml
from tests.support.stored_records import DOMAIN, ids_of, read_all
from tests.support.syslog_receiver import receiving_syslog
from tests.support.zones import Zone

TEXT = (DOCS / "exporting.md").read_text()
(SCRIPT,) = re.findall(r'^```sh title="fetch-records.sh"\n(.*?)^```$', TEXT, re.M | re.S)
COMMANDS = re.findall(r"^```console\n\$ flask (export .*?)\n(.*?)^```$", TEXT, re.M | re.S)


def test_field_tables_match_the_code() -> None:
    assert record_tables.page(TEXT) == TEXT, "run ./dev docs"
    assert record_tables.tables() in TEXT


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account("default")
    make_domain(account.id, DOMAIN)
    return account.id


def test_commands_print_what_the_page_shows(
    account_id: UUID,
    database: Engine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app(database, settings)
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        stored_records.store_reports(account_id, dmarc_xml(report_id=f"r{number}"))
    for command, output in COMMANDS:
        assert cli.run(app, *command.split()) == output
    lines = (tmp_path / "records.ndjson").read_text().splitlines()
    assert len(lines) == len(read_all(account_id))


@pytest.fixture
def base_url(database: Engine, settings: Settings) -> Iterator[str]:
    """The address of the service."""
    server = make_server("127.0.0.1", 0, make_app(database, settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_script_appends_every_record_once(account_id: UUID, base_url: str, tmp_path: Path) -> None:
    _, token = make_key(account_id)
    script, file = tmp_path / "fetch-records.sh", tmp_path / "records.ndjson"
    script.write_text(SCRIPT)
    variables = {
        "PATH": os.environ["PATH"],
        "MAILWATCH_URL": base_url,
        "MAILWATCH_KEY": token,
    }

    def fetch() -> list[str]:
        subprocess.run(["sh", str(script)], cwd=tmp_path, env=variables, check=True)
        return file.read_text().splitlines()

    assert fetch() == []
    stored_records.store_all_kinds(account_id)
    stored = ids_of(read_all(account_id))
    assert [json.loads(line)["id"] for line in fetch()] == stored
    stored_records.store_reports(account_id, dmarc_xml(report_id="later"))
    assert len(fetch()) == len(stored) + 1
    assert len(fetch()) == len(stored) + 1


SINK_COMMANDS = re.findall(r"^```sh\nflask (sinks add .*?)^```$", TEXT, re.M | re.S)
SECRETS = {"bulk": f"{USER}\n", "splunk": f"{TOKEN}\n"}


def test_every_type_of_sink_has_an_example() -> None:
    types = [re.findall(r"--type (\w+)", command)[0] for command in SINK_COMMANDS]
    assert types == list(SINK_TYPES)


def add_documented(app: Flask, type: str, host: str, certificates: Path) -> None:
    """Add a sink with the documented command, at a host on loopback."""
    (command,) = (text for text in SINK_COMMANDS if f"--type {type} " in text)
    words = shlex.split(command.replace("\\\n", " "))
    words = [re.sub(r"https://[\w.]+(:\d+)?", f"https://{host}", word) for word in words]
    if type != "syslog":
        words += ["--ca-certificates-file", str(certificates)]
    result = app.test_cli_runner().invoke(args=[*words, "--from-start"], input=SECRETS.get(type))
    assert result.exit_code == 0, result.output


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as started:
        yield started


def test_documented_http_sinks_forward_records(
    account_id: UUID, database: Engine, settings: Settings, receiver: Receiver
) -> None:
    app, host = make_app(database, settings), f"{HOST}:{receiver.port}"
    stored_records.store_all_kinds(account_id)
    stored = ids_of(read_all(account_id))
    add_documented(app, "webhook", host, receiver.ca_file)
    forwarding.run(LoopbackNetwork())
    (call,) = receiver.calls
    body = json.loads(call.body)
    assert (call.path, body["type"]) == ("/mailwatch", "records.stored")
    assert [record["mailwatchId"] for record in body["data"]["records"]] == stored
    engine = SearchEngine(receiver)
    add_documented(app, "bulk", host, receiver.ca_file)
    forwarding.run(LoopbackNetwork())
    assert [id for _, id in engine.documents] == stored
    collector = EventCollector(receiver)
    add_documented(app, "splunk", host, receiver.ca_file)
    forwarding.run(LoopbackNetwork())
    assert collector.ids == stored


def test_documented_syslog_sink_forwards_records(
    account_id: UUID,
    database: Engine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "logs.example.com"
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.chdir(tmp_path)
    stored_records.store_all_kinds(account_id)
    with receiving_syslog(context) as syslog:
        monkeypatch.setitem(PORTS, "tls", syslog.port)
        add_documented(make_app(database, settings), "syslog", name, tmp_path / "ca.pem")
        forwarding.run(LoopbackNetwork(Zone({(name, "A"): ["127.0.0.1"]})))
    assert syslog.ids == ids_of(read_all(account_id))


def test_index_template_names_fields_of_records() -> None:
    (template,) = re.findall(r"^```json\n(\{\n.*?)^```$", TEXT, re.M | re.S)
    names = json.loads(template)["template"]["mappings"]["properties"].keys() - {"@timestamp"}
    declared = {path.removesuffix(".*") for kind in KINDS for path in kind.fields}
    assert names <= declared
