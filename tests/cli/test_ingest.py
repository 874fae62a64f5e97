"""``flask ingest``: which files it finds, its progress, its summary, and repeated runs."""

import gzip
import json
import mailbox
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.engine import Engine

from app.cli import ingest as ingest_command
from app.db.transactions import transaction
from app.mailboxes import files
from app.models import DmarcReport
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.ingest.files import NewFile
from app.settings import Settings
from tests.support.factories import make_account, make_app, make_domain
from tests.support.ingest_worker import processing_files
from tests.support.report_documents import dmarc_xml, mailed, zipped

Run = Callable[..., Result]


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app: Flask = make_app(database, settings)
    account = make_account("Acme")
    make_domain(account.id, "acme.test")

    def invoke(*arguments: object) -> Result:
        words = ["ingest", "--account", "Acme", *(str(word) for word in arguments)]
        return app.test_cli_runner().invoke(args=words)

    return invoke


@pytest.fixture
def worker(run: Run) -> Iterator[None]:
    """A thread that processes files as a worker does."""
    with processing_files():
        yield


def mail(report_id: str) -> bytes:
    return mailed(gzip.compress(dmarc_xml(report_id=report_id)))


def names(*paths: Path) -> list[str]:
    return [item.name for item in files.find(paths)]


def stored_reports() -> int:
    with transaction(readonly=True) as session:
        return session.scalar(select(func.count()).select_from(DmarcReport)) or 0


def maildir(folder: Path, *messages: bytes) -> None:
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    for number, message in enumerate(messages):
        (folder / "cur" / f"{number}.M1.host,S=1:2,S").write_bytes(message)


def test_folders_of_a_maildir_are_read_and_the_files_of_its_server_are_not(tmp_path: Path) -> None:
    maildir(tmp_path / "box", mail("1"))
    maildir(tmp_path / "box" / ".Archive", mail("2"))
    maildir(tmp_path / "box" / ".Archive.2024", mail("3"))
    (tmp_path / "box" / "new" / "4.M1.host").write_bytes(mail("4"))
    (tmp_path / "box" / "tmp" / "5.M1.host").write_bytes(mail("5"))
    (tmp_path / "box" / "dovecot-uidlist").write_bytes(b"3 V1 N9")
    (tmp_path / "box" / ".Archive" / "maildirfolder").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"x")
    assert names(tmp_path) == [
        "0.M1.host,S=1:2,S",
        "0.M1.host,S=1:2,S",
        "0.M1.host,S=1:2,S",
        "4.M1.host",
    ]


def test_folders_that_are_nested_too_deeply_are_an_error_and_not_a_crash(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d"] * (files.MAX_DEPTH + 2))
    folder.mkdir(parents=True)
    (tmp_path / "z.xml").write_bytes(dmarc_xml())
    broken, readable = files.find([tmp_path])
    with pytest.raises(OSError, match="64 levels deep"):
        broken.read()
    assert readable.read() == dmarc_xml()


def test_mbox_is_divided_at_its_separators_only(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    text = b"From: a@b.test\nSubject: s\n\nFrom here on it is text.\n\nFrom a word to the end\n"
    for _ in range(2):
        box.add(text)
    box.close()
    (tmp_path / "text").write_bytes(b"From here on it is text.\n")
    first, second, other = files.find([tmp_path])
    assert [item.name for item in (first, second, other)] == ["box #1", "box #2", "text"]
    assert first.read().rstrip() == text.rstrip()
    assert other.read() == b"From here on it is text.\n"


@pytest.mark.usefixtures("worker")
def test_summary_counts_what_the_workers_made_of_the_files(run: Run, tmp_path: Path) -> None:
    maildir(tmp_path / "box", mail("1"), gzip.compress(mail("2")), zlib.compress(mail("3")))
    (tmp_path / "a.zip").write_bytes(zipped(dmarc_xml(report_id="4"), dmarc_xml(report_id="5")))
    (tmp_path / "b.txt").write_bytes(b"hello")
    (tmp_path / "c.xml").write_bytes(dmarc_xml("other.test"))
    (tmp_path / "d.xml").write_bytes(dmarc_xml(report_id="1"))
    result = run(tmp_path)
    assert result.exit_code == ingest_command.INCOMPLETE
    assert "7 imported, 0 duplicates, 0 unreadable" in result.stdout
    assert (
        "5 reports, 1 duplicate, 0 in conflict, 1 unattributed, 1 rejected, 0 waiting"
        in result.stdout
    )
    assert "  no_verified_domain: 1" in result.stdout
    assert stored_reports() == 5


@pytest.mark.usefixtures("worker")
def test_repeated_run_imports_nothing_twice(run: Run, tmp_path: Path) -> None:
    maildir(tmp_path / "box", *(mail(str(number)) for number in range(5)))
    assert json.loads(run("--json", tmp_path).stdout)["reports"] == 5
    result = run("--json", tmp_path)
    summary: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 0
    del summary["seconds"]
    assert summary == {
        **{"files": 5, "imported": 0, "alreadyImported": 5, "unreadable": 0, "errors": []},
        **{"reports": 0, "duplicates": 0, "conflicts": 0, "unattributed": 0, "rejected": 0},
        **{"waiting": 0, "reasons": {}},
    }
    assert stored_reports() == 5


def test_interrupted_run_is_continued_by_the_next(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir(tmp_path / "box", *(mail(str(number)) for number in range(7)))
    monkeypatch.setattr(ingest_command, "BATCH_FILES", 2)
    store_all, calls = ingest_files.store_all, list[int]()

    def store_twice(account_id: UUID, batch: list[NewFile], **route: str) -> Any:
        calls.append(len(batch))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return store_all(account_id, batch, **route)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_files, "store_all", store_twice)
        result = run("--no-wait", tmp_path)
    assert result.exit_code == ingest_command.INTERRUPTED
    assert "4 imported" in result.stdout
    assert "Repeat the command" in result.stderr
    assert "3 imported, 4 duplicates" in run("--no-wait", tmp_path).stdout
    processor.run([])
    assert stored_reports() == 7


def test_without_waiting_the_status_does_not_depend_on_how_fast_workers_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.xml").write_bytes(b"<feedback>")
    store_all = ingest_files.store_all

    def store_and_process(*arguments: Any, **route: Any) -> Any:
        stored = store_all(*arguments, **route)
        processor.run([])
        return stored

    monkeypatch.setattr(ingest_files, "store_all", store_and_process)
    result = run("--no-wait", tmp_path)
    assert "1 rejected" in result.stdout
    assert result.exit_code == 0


def test_without_a_worker_the_files_are_stored_and_the_exit_code_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_command, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(ingest_command, "LINE_SECONDS", 0.0)
    (tmp_path / "a.xml").write_bytes(dmarc_xml())
    result = run(tmp_path)
    assert result.exit_code == ingest_command.NOT_PROCESSED
    assert "Start a worker" in result.stderr
    assert "1 file, 0 reports, 0 duplicates, 0 rejected, 1 waiting" in result.stderr
