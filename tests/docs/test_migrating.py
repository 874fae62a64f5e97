"""The examples of docs/migrating.md: its files are imported with the results that it shows."""

import ipaddress
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import DmarcRecord, DmarcReport
from app.services.filing import processor
from app.settings import Settings
from tests.support.factories import make_account, make_app, make_domain
from tests.support.ingest_worker import processing_files
from tests.support.paths import DOCS

TEXT = (DOCS / "migrating.md").read_text()
FILES = re.findall(r"^```json (\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```console\n\$ flask (.*?)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(QUERY,) = re.findall(r"^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

# The tables of dmarc-srg, as far as the query reads them.
TABLES = """
CREATE TABLE domains (id INTEGER, fqdn TEXT);
CREATE TABLE reports (id INTEGER, domain_id INTEGER, begin_time TEXT, end_time TEXT, org TEXT,
  external_id TEXT, email TEXT, extra_contact_info TEXT, policy_adkim TEXT, policy_aspf TEXT,
  policy_p TEXT, policy_sp TEXT, policy_np TEXT, policy_pct TEXT, policy_fo TEXT);
CREATE TABLE rptrecords (id INTEGER, report_id INTEGER, ip BLOB, rcount INTEGER,
  disposition INTEGER, reason TEXT, dkim_auth TEXT, spf_auth TEXT, dkim_align INTEGER,
  spf_align INTEGER, envelope_to TEXT, envelope_from TEXT, header_from TEXT);
INSERT INTO domains VALUES (1, 'acme.test');
INSERT INTO reports VALUES (1, 1, '2026-02-01 00:00:00', '2026-02-01 23:59:59', 'Receiver', 'r@1',
  'dmarc@receiver.example', NULL, 'r', 'r', 'reject', 'none', NULL, '100', '1');
INSERT INTO reports VALUES (2, 1, '2026-02-02 00:00:00', '2026-02-02 23:59:59', 'Receiver', 'r@2',
  'dmarc@receiver.example', NULL, 'r', 'r', 'reject', 'none', NULL, '100', '1');
INSERT INTO rptrecords VALUES (1, 1, x'c0000201', 7, 2, NULL,
  '[{"domain": "acme.test", "selector": "s1", "result": "pass"}]', NULL, 2, 0, NULL, NULL,
  'acme.test');
INSERT INTO rptrecords VALUES (2, 1, x'20010db8000000000000000000000001', 5, 0,
  '[{"type": "forwarded", "comment": "list"}]', NULL, NULL, 0, 1, NULL, 'b.test', 'acme.test');
INSERT INTO rptrecords VALUES (3, 2, x'c0000202', 3, 1, NULL, NULL, NULL, 0, 0, NULL, NULL,
  'acme.test');
"""


def dmarc_srg_export() -> str:
    """The result of the documented query."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("INET6_NTOA", 1, lambda ip: str(ipaddress.ip_address(ip)))
        connection.executescript(TABLES)
        return "".join(f"{line}\n" for (line,) in connection.execute(QUERY))


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account("default")
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture
def worker(account_id: UUID) -> Iterator[None]:
    """A thread that processes files as a worker does."""
    with processing_files():
        yield


@pytest.mark.usefixtures("worker")
def test_commands_print_what_the_page_shows(
    database: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(database, settings)
    monkeypatch.chdir(tmp_path)
    for name, content in FILES:
        Path(name).write_text(content)
    Path("dmarc-srg.ndjson").write_text(dmarc_srg_export())
    assert len(COMMANDS) == 3
    for command, output in COMMANDS:
        assert app.test_cli_runner().invoke(args=shlex.split(command)).stdout == output


@pytest.mark.usefixtures("account_id")
def test_query_exports_everything_that_dmarc_srg_stores(
    database: Engine, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text(dmarc_srg_export())
    words = ["ingest", "--no-wait", "--account", "default", str(tmp_path)]
    make_app(database, settings).test_cli_runner().invoke(args=words)
    processor.run([])
    with transaction(readonly=True) as session:
        reports = session.scalars(select(DmarcReport).order_by(DmarcReport.begin_at)).all()
        records = session.scalars(select(DmarcRecord).order_by(DmarcRecord.count.desc())).all()
    assert [(r.report_id, r.messages, r.passed) for r in reports] == [("r@1", 12, 7), ("r@2", 3, 0)]
    assert reports[0].policy["p"] == "reject"
    first, second, third = records
    assert (first.source_ip, first.dkim, first.spf) == ("192.0.2.1", True, False)
    assert first.dkim_results == [{"domain": "acme.test", "selector": "s1", "result": "pass"}]
    assert second.reasons == [{"type": "forwarded", "comment": "list"}]
    assert (second.source_ip, second.envelope_from) == ("2001:db8::1", "b.test")
    assert [r.disposition for r in records] == ["none", "reject", "quarantine"]
    assert third.dkim_results is None
