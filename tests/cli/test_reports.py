"""The commands about report addresses and report files."""

import mailbox
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.mailboxes import files
from app.models import AuditEvent, DailyIngestUsage
from app.protocols.mail import mbox
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter
from app.settings import Settings
from tests.support.factories import make_account, make_app, make_domain
from tests.support.report_documents import dmarc_xml, mailed, record, tls_json

Run = Callable[..., str]


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app: Flask = make_app(database, settings)

    def invoke(*arguments: object, status: int = 0) -> str:
        result = app.test_cli_runner().invoke(args=[str(word) for word in arguments])
        assert result.exit_code == status, result.output
        return result.output

    return invoke


@pytest.fixture
def account_id(run: Run) -> UUID:
    account = make_account("Acme")
    make_domain(account.id, "acme.test")
    return account.id


def token_in(output: str) -> str:
    match = re.search(r"/ingest/(\w{22})$", output, re.MULTILINE)
    assert match is not None, output
    return match[1]


def test_report_address_is_created_rotated_and_revoked(run: Run, account_id: UUID) -> None:
    first = token_in(run("ingest-tokens", "create", "--account", "Acme"))
    assert tokens.resolve(first) is not None
    second = token_in(run("ingest-tokens", "rotate", "--account", "Acme", "--overlap", "7d", first))
    assert tokens.resolve(first) is not None
    assert tokens.resolve(second) is not None
    run("ingest-tokens", "revoke", "--account", "Acme", first)
    assert tokens.resolve(first) is None
    listed = run("ingest-tokens", "list", "--account", "Acme")
    assert (listed.count("active"), listed.count("revoked")) == (1, 1)
    with transaction(readonly=True) as session:
        actions = session.scalars(
            select(AuditEvent.action).where(AuditEvent.action.startswith("ingest_token."))
        ).all()
    assert sorted(actions) == [
        "ingest_token.created",
        "ingest_token.created",
        "ingest_token.revoked",
        "ingest_token.rotated",
    ]


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_foreign_report_address_is_not_found(run: Run, account_id: UUID, command: str) -> None:
    make_account("Other")
    token = token_in(run("ingest-tokens", "create", "--account", "Other"))
    assert "Not found: " in run("ingest-tokens", command, "--account", "Acme", token, status=1)
    assert tokens.resolve(token) is not None


def test_expired_address_or_long_overlap_is_not_rotated(run: Run, account_id: UUID) -> None:
    token = token_in(run("ingest-tokens", "create", "--account", "Acme"))
    words = ("ingest-tokens", "rotate", "--account", "Acme")
    assert "90 days" in run(*words, "--overlap", "91d", token, status=1)
    run("ingest-tokens", "revoke", "--account", "Acme", token)
    assert "expired or revoked" in run(*words, token, status=1)


def some_files(folder: Path) -> None:
    """Single files, an mbox with two mails, and a Maildir with one complete mail."""
    (folder / "below").mkdir()
    (folder / "one.xml").write_bytes(dmarc_xml())
    (folder / "below" / "two.json").write_bytes(tls_json())
    (folder / "below" / ".hidden").write_bytes(b"x")
    box = mailbox.mbox(folder / "box")
    for number in range(2):
        box.add(mailed(dmarc_xml(report_id=f"mail {number}"), "a.xml", "text/xml"))
    box.close()
    maildir = mailbox.Maildir(folder / "maildir")
    maildir.add(mailed(dmarc_xml(report_id="maildir"), "a.xml", "text/xml"))
    (folder / "maildir" / "tmp" / "unfinished").write_bytes(b"From: a@b.test\n")


def test_files_folders_mbox_and_maildir_are_imported(
    run: Run, account_id: UUID, tmp_path: Path
) -> None:
    some_files(tmp_path)
    output = run("ingest", "--no-wait", "--account", "Acme", tmp_path, tmp_path / "one.xml")
    assert "5 imported, 1 duplicate, 0 unreadable" in output
    processor.run([])
    rows, _ = ingest_files.search(account_id, ReportFileFilter()).page(None, 100)
    assert {(row.status, row.received_via) for row in rows} == {("parsed", "cli")}
    assert {"one.xml", "two.json", "box #1", "box #2"} < {row.file_name for row in rows}


@pytest.mark.parametrize("seed", range(20))
def test_mbox_is_divided_as_in_a_container(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    newline = random.choice((b"\n", b"\r\n"))
    lines = (
        b"From a@a.example Fri Nov 27 06:00:00 2026",
        b"From a@a.example Fri Nov 27 06:00:00 2026",
        *(b"From me", b">From me", b">>From me", b"Subject: x", b"X: y", b"", b"", b"text"),
    )
    content = newline.join(
        [lines[0], b"Subject: first", *random.choices(lines, k=random.randrange(60))]
    )
    (tmp_path / "box").write_bytes(content)
    items = list(files.find([tmp_path / "box"]))
    assert [item.read() for item in items] == mbox.messages(content)
    assert [item.name for item in items] == [f"box #{n}" for n in range(1, len(items) + 1)]


def test_too_large_file_does_not_stop_the_import(
    run: Run, account_id: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 5000)
    (tmp_path / "a").write_bytes(b"x" * 5001)
    (tmp_path / "b").write_bytes(dmarc_xml())
    output = run("ingest", "--no-wait", "--account", "Acme", tmp_path, status=1)
    assert "1 imported, 0 duplicates, 1 unreadable" in output
    assert "a: larger than 5000 bytes" in output


def test_unreadable_path_does_not_stop_the_import(
    run: Run, account_id: UUID, tmp_path: Path
) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "back").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "z.xml").write_bytes(dmarc_xml())
    output = run("ingest", "--no-wait", "--account", "Acme", tmp_path, status=1)
    assert "1 imported, 0 duplicates, 2 unreadable" in output
    assert "broken: " in output
    assert "pipe: not a regular file" in output
    (tmp_path / "pipe").unlink()
    (tmp_path / "broken").unlink()
    run("ingest", "--no-wait", "--account", "Acme", tmp_path / "back")


def test_daily_quotas_do_not_apply_to_imports(
    database: Engine, settings: Settings, tmp_path: Path
) -> None:
    app = make_app(database, settings.replace(ingest_files_per_day=2, ingest_cpu_seconds_per_day=1))
    account = make_account("Acme")
    make_domain(account.id, "acme.test")
    with transaction() as session:
        today = datetime.now(UTC).date()
        usage = {"day": today, "files": 0, "bytes": 0, "cpu_ms": 5_000}
        session.add(DailyIngestUsage(account_id=account.id, **usage))
    for number in range(4):
        (tmp_path / f"{number}.xml").write_bytes(dmarc_xml(report_id=str(number)))
    words = ["ingest", "--no-wait", "--account", "Acme", str(tmp_path)]
    assert app.test_cli_runner().invoke(args=words).exit_code == 0
    processor.run([])
    assert {row.status: row.number for row in ingest_files.counts(account.id)} == {"parsed": 4}
    with transaction(readonly=True) as session:
        assert session.scalars(select(DailyIngestUsage.files)).all() == [0]


def test_report_files_are_listed_counted_and_retried(
    run: Run, account_id: UUID, tmp_path: Path
) -> None:
    (tmp_path / "a.xml").write_bytes(dmarc_xml("other.test"))
    (tmp_path / "b.txt").write_bytes(b"hello")
    run("ingest", "--no-wait", "--account", "Acme", tmp_path)
    processor.run([])
    listed = run("files", "list", "--account", "Acme", "--status", "unattributed")
    assert "no_verified_domain  other.test  a.xml" in listed
    assert "b.txt" not in listed
    assert re.search(r"1  unattributed +no_verified_domain", run("files", "counts"))
    assert "1 queued for processing" in run("files", "retry", "--reason", "no_verified_domain")
    assert "1  received" in run("files", "counts", "--account", "Acme")
    match = re.search(r"file_\w+", run("files", "list", "--account", "Acme", "--reason", "x y z"))
    assert match is None
    bad = re.search(r"file_\w+", run("files", "list", "--account", "Acme", "--status", "rejected"))
    assert bad is not None
    assert "1 queued for processing" in run("files", "retry", bad[0])
    run("files", "retry", "nonsense", status=1)
    run("files", "retry", status=2)


def test_files_of_partial_reports_are_retried(run: Run, account_id: UUID, tmp_path: Path) -> None:
    partial = dmarc_xml(report_id="r2", records=[record(), record(ip="none")])
    for name, raw in (("a.xml", dmarc_xml()), ("b.xml", partial)):
        (tmp_path / name).write_bytes(raw)
    run("ingest", "--no-wait", "--account", "Acme", tmp_path)
    processor.run([])
    assert "1 queued for processing" in run("files", "retry", "--partial")
    assert "b.xml" in run("files", "list", "--account", "Acme", "--status", "received")
    processor.run([])
    assert "2  parsed" in run("files", "counts", "--account", "Acme")
    run("files", "retry", "--partial", "--reason", "internal", status=2)


def test_setup_prints_the_report_address_and_none_for_tls_reports_without_https(run: Run) -> None:
    output = run("setup")
    token = token_in(output)
    assert f"/ingest/{token}\n" in output
    assert "TLS-RPT    none, because BASE_URL does not begin with https://" in output
    assert tokens.resolve(token) is not None


def test_report_in_conflict_can_be_used(run: Run, account_id: UUID) -> None:
    for count in (50, 70):
        raw = dmarc_xml(records=[record(count=count)])
        ingest_files.store(account_id, raw, received_via="cli", file_name=f"{count}.xml")
    processor.run([])
    match = re.search(
        r"file_\w+", run("files", "list", "--account", "Acme", "--status", "conflict")
    )
    assert match is not None
    run("files", "use", "--account", "Acme", match[0])
    run("files", "use", "--account", "Acme", match[0], status=1)
    run("files", "use", "--account", "Acme", "file_x", status=1)
    processor.run([])
    listed = run("files", "list", "--account", "Acme", "--status", "conflict")
    assert "50.xml" in listed
