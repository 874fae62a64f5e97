"""Folders of the worker: which files are read, when, and where they go."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app import settings as app_settings
from app.errors import InvalidRequest, NotFound
from app.mailboxes.local import folder as folders
from app.mailboxes.local.folder import FolderConfig, FolderMailbox
from app.mailboxes.types import MessageError
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes import setup
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml
from tests.support.report_mailboxes import add, counts, poll_once, reload, stored_mails
from tests.support.zones import Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")
CONFIG = FolderConfig(path="acme/reports")


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The watched folder."""
    path = tmp_path / "root" / "acme" / "reports"
    path.mkdir(parents=True)
    app_settings.use(settings.replace(mailbox_folder_root=str(tmp_path / "root")))
    yield path
    app_settings.use(settings)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "QUIET_SECONDS", -60.0)


def write(folder: Path, name: str, number: int) -> Path:
    path = folder / name
    path.write_bytes(dmarc_xml(report_id=str(number)))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_are_imported_once_and_moved(account_id: UUID, folder: Path) -> None:
    write(folder, "a.xml", 1)
    write(folder, "b.xml", 2)
    row = add(account_id, CONFIG)
    assert counts(poll_once(row)) == PollResult(imported_count=2)
    assert counts(poll_once(row)) == PollResult()
    assert names(folder / "done") == {"a.xml", "b.xml"}
    write(folder, "a.xml", 3)
    assert counts(poll_once(row)) == PollResult(imported_count=1)
    assert names(folder / "done") == {"a.xml", "a.xml.1", "b.xml"}
    assert names(folder) == {"done"}


def test_files_that_stay_are_imported_once_and_again_after_a_change(
    account_id: UUID, folder: Path
) -> None:
    write(folder, "a.xml", 1)
    row = add(account_id, FolderConfig(path="acme/reports", after_import="keep"))
    assert counts(poll_once(row)) == PollResult(imported_count=1)
    assert counts(poll_once(row)) == PollResult()
    os.utime(write(folder, "a.xml", 2), (1, 1))
    assert counts(poll_once(row)) == PollResult(imported_count=1)
    assert names(folder) == {"a.xml"}


def test_file_that_changed_recently_is_left_until_it_is_complete(
    account_id: UUID, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "QUIET_SECONDS", 3600.0)
    path = write(folder, "a.xml", 1)
    os.utime(path, (1, 1))  # the time of the change cannot be set
    row = add(account_id, CONFIG)
    assert counts(poll_once(row)) == PollResult()
    monkeypatch.setattr(folders, "QUIET_SECONDS", -60.0)
    assert counts(poll_once(row)) == PollResult(imported_count=1)


def test_only_regular_files_are_read(account_id: UUID, folder: Path, tmp_path: Path) -> None:
    secret = write(tmp_path, "secret.xml", 1)
    (folder / "link.xml").symlink_to(secret)
    os.mkfifo(folder / "pipe.xml")
    (folder / "inner").mkdir()
    write(folder / "inner", "deep.xml", 2)
    write(folder, ".hidden.xml", 3)
    row = add(account_id, CONFIG)
    assert counts(poll_once(row)) == PollResult()
    assert stored_mails(account_id) == []


def test_file_that_is_replaced_by_a_link_is_not_read(folder: Path, tmp_path: Path) -> None:
    secret = write(tmp_path, "secret.xml", 1)
    path = write(folder, "a.xml", 2)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        [message] = FolderMailbox(descriptor, keeps_messages=True).messages()
        path.unlink()
        path.symlink_to(secret)
        with pytest.raises(MessageError, match="cannot be read"):
            message.read()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("path", ["/etc", "..", "acme/../../x", "a/..", ".", ""])
def test_path_outside_of_the_root_is_refused(account_id: UUID, folder: Path, path: str) -> None:
    with pytest.raises(InvalidRequest):
        add(account_id, FolderConfig(path=path))


def test_folder_that_is_a_link_is_not_opened(
    account_id: UUID, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside, "a.xml", 1)
    (folder.parent / "linked").symlink_to(outside)
    for name in ("acme/linked", "acme/missing"):
        row = add(account_id, FolderConfig(path=name))
        assert "the folder cannot be opened" in (poll_once(row).failure or "")
    assert stored_mails(account_id) == []


def test_folder_without_the_setting_is_a_failure(account_id: UUID) -> None:
    row = add(account_id, CONFIG)
    assert poll_once(row).failure == "the operator has not set MAILBOX_FOLDER_ROOT"
    assert reload(row).failing_since is not None


def test_file_above_the_limit_is_skipped(account_id: UUID, folder: Path) -> None:
    with (folder / "large.xml").open("wb") as file:
        file.truncate(LIMITS.message + 1)
    result = poll_once(add(account_id, CONFIG))
    assert (result.too_large, list(result.skipped)) == (1, ["large.xml"])
    assert names(folder) == {"large.xml"}


def test_people_cannot_add_folders(account_id: UUID) -> None:
    with pytest.raises(NotFound):
        setup.add(account_id, CONFIG, ZoneNetwork(Zone({})), actor=ACTOR)


POLL = """
import os, sys
from uuid import UUID
from app import runtime
from app.mailboxes.local import folder
from app.services.mailboxes import polling
from app.settings import Settings
folder.QUIET_SECONDS = -60.0
name, number = sys.argv[2], [0]
original = getattr(os, name)
def kill(*args, **kwargs):
    number[0] += 1
    if number[0] == 2:
        os.kill(os.getpid(), 9)
    return original(*args, **kwargs)
setattr(os, name, kill)
runtime.start(Settings())
polling.poll(UUID(sys.argv[1]), is_forced=True)
"""


@pytest.mark.parametrize("call", ["link", "unlink"])
def test_killed_poll_loses_nothing_and_imports_nothing_twice(
    account_id: UUID, folder: Path, settings: Settings, call: str
) -> None:
    for number in range(3):
        write(folder, f"{number}.xml", number)
    row = add(account_id, CONFIG)
    environment = {
        **os.environ,
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "MAILBOX_FOLDER_ROOT": str(folder.parents[1]),
    }
    arguments = [sys.executable, "-c", POLL, str(row.id), call]
    assert subprocess.run(arguments, env=environment).returncode == -9
    before = len(stored_mails(account_id))
    assert 0 < before < 3
    assert counts(poll_once(row)) == PollResult(imported_count=3 - before, duplicate_count=1)
    assert names(folder / "done") == {"0.xml", "1.xml", "2.xml"}
    assert len(stored_mails(account_id)) == 3
