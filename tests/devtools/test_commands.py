"""./dev and the test servers: no process is left behind, and no data is lost."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from devtools import (
    CommandError,
    commands,
    environment,
    log_lines,
    processes,
    release,
    service,
    valkey,
)
from devtools.processes import Child, Children, Died
from tests.support import servers

LEAVES_A_SESSION = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
time.sleep(60)
"""
SUPERVISES = """
import os, sys
from devtools.processes import Child, Children, Stop
try:
    with Children() as children:
        children.start(Child("worker", [sys.executable, "-c", sys.argv[1]], os.environ))
        children.watch()
except Stop:
    pass
"""


def test_env_file_is_read_without_expansion(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\nexport A=1\n\nB = \"two words\"\nC='$A'\nD=x=y\n")
    values = environment.read_file(file)
    assert values == {"A": "1", "B": "two words", "C": "$A", "D": "x=y"}


def test_malformed_env_line_is_reported_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nnonsense\n")
    with pytest.raises(CommandError, match="line 2"):
        environment.read_file(file)


def test_occupied_port_is_skipped() -> None:
    port = processes.free_port()
    assert processes.free_port(port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert processes.free_port(port) > port


def test_address_is_published_while_the_service_runs(tmp_path: Path) -> None:
    assert service.running_address(tmp_path) is None
    with service.publish_address(tmp_path, "http://127.0.0.1:8001"):
        assert service.running_address(tmp_path) == "http://127.0.0.1:8001"
        with service.publish_address(tmp_path, "http://127.0.0.1:8002"):
            assert service.running_address(tmp_path) == "http://127.0.0.1:8002"
        with (
            pytest.raises(KeyboardInterrupt),
            service.publish_address(tmp_path, "http://127.0.0.1:8003"),
        ):
            raise KeyboardInterrupt
        assert service.running_address(tmp_path) is None


def test_stopping_service_keeps_the_address_of_another(tmp_path: Path) -> None:
    first = service.publish_address(tmp_path, "http://127.0.0.1:8001")
    with first:
        (tmp_path / "address").write_text("http://127.0.0.1:8002")
    assert service.running_address(tmp_path) == "http://127.0.0.1:8002"


@pytest.mark.parametrize("command", ["run", "demo", "check", "migrate"])
def test_command_without_arguments_rejects_arguments(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main([command, "--help"]) == 0
    assert commands.main([command, "--port", "8001"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"./dev {command}: ")
    assert "PORT=8001" in captured.err


def test_second_valkey_in_a_directory_is_refused(tmp_path: Path) -> None:
    held = valkey.lock(tmp_path)
    with pytest.raises(CommandError, match="in use"):
        valkey.lock(tmp_path)
    os.close(held)
    os.close(valkey.lock(tmp_path))


def test_data_survives_a_killed_valkey(tmp_path: Path) -> None:
    server = servers.start_valkey(tmp_path, persistent=True)
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("a", "1")
        server.kill()
        server.restart()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") == b"1"
    finally:
        server.stop()


def test_orphaned_processes_are_killed_on_exit() -> None:
    # Signals and orphans belong to a process, so this takes one of its own.
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISES, LEAVES_A_SESSION], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    left = int(supervisor.stdout.readline().removeprefix("worker |"))
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    supervisor.stdout.close()
    assert not Path(f"/proc/{left}").exists()


def test_ended_child_process_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child("clock", [sys.executable, "-c", "print('oh'); raise SystemExit(3)"], os.environ)
    child.process.wait()
    children = Children()
    children.start(child)
    with pytest.raises(Died, match=r"clock ended unexpectedly \(exit status 3\)"):
        children.check()
    assert "clock  | oh" in capfd.readouterr().out


def test_existing_directory_and_files_become_private(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o755)
    (directory / "mailwatch.db").touch(mode=0o644)
    (directory / "valkey").mkdir()
    (directory / "valkey" / "url").touch(mode=0o644)
    environment.make_private(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("mailwatch.db", "valkey/url"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600


def test_embedded_valkey_requires_a_password_that_is_not_on_the_command_line(
    tmp_path: Path,
) -> None:
    password = valkey.write_password(tmp_path)
    server = servers.start_valkey(tmp_path)
    try:
        assert password not in " ".join(server.command)
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o777 == 0o600
        with redis.Redis.from_url(server.url) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        url = server.url.replace("redis://", f"redis://:{password}@")
        with redis.Redis.from_url(url) as owner:
            assert owner.ping()
    finally:
        server.stop()


def log_line(**fields: Any) -> str:
    common = {"at": "2026-11-30T12:00:00.000+00:00", "level": "info", "logger": "access"}
    return json.dumps({**common, **fields})


def test_json_log_line_is_printed_in_readable_form() -> None:
    line = log_line(
        level="warning", logger="app.jobs.queue", message="Redis unavailable", reason="gone"
    )
    text = log_lines.readable(line)
    assert text is not None
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING Redis unavailable reason=gone", text)


def test_only_failed_requests_are_printed() -> None:
    assert log_lines.readable(log_line(message="request", status=200)) is None
    assert "status=500" in (log_lines.readable(log_line(message="request", status=500)) or "")


@pytest.mark.parametrize("line", ["plain text", "{broken", '{"a": 1}'])
def test_line_that_is_not_a_log_entry_is_unchanged(line: str) -> None:
    assert log_lines.readable(f"{line}\n") == line


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A temporary repository with a version and a changelog."""
    root = tmp_path / "clone"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "mailwatch"\nversion = "0.1.0"\n')
    changelog = (
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0]\n\n- First.\n"
    )
    (root / "CHANGELOG.md").write_text(changelog)
    for command in (
        ("init", "--quiet"),
        ("config", "user.name", "Test"),
        ("config", "user.email", "test@example.com"),
        ("add", "."),
        ("commit", "--quiet", "--message", "first"),
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_release_sets_the_version_dates_the_changelog_commits_and_tags(clone: Path) -> None:
    assert release.release(["0.2.0"], clone) == 0
    assert 'version = "0.2.0"' in (clone / "pyproject.toml").read_text()
    changelog = (clone / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[0\.2\.0\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert "Unreleased" not in changelog
    assert git(clone, "log", "-1", "--format=%s").strip() == "release: 0.2.0"
    assert git(clone, "tag", "--points-at", "HEAD").strip() == "v0.2.0"
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("version", "message"),
    [("1", "a version"), ("0.0.9", "older"), ("0.2.0", "not committed")],
)
def test_release_is_refused_without_changing_anything(
    clone: Path, version: str, message: str
) -> None:
    if message == "not committed":
        (clone / "new").touch()
    before = git(clone, "rev-parse", "HEAD"), (clone / "pyproject.toml").read_text()
    with pytest.raises(CommandError, match=message):
        release.release([version], clone)
    assert before == (git(clone, "rev-parse", "HEAD"), (clone / "pyproject.toml").read_text())


def test_release_is_refused_without_changelog_entries_or_for_an_existing_tag(clone: Path) -> None:
    release.release(["0.2.0"], clone)
    with pytest.raises(CommandError, match="exists"):
        release.release(["0.2.0"], clone)
    with pytest.raises(CommandError, match="no entries"):
        release.release(["0.3.0"], clone)


def test_start_waits_as_long_as_its_processes_run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = itertools.count(step=60)
    answers = iter([False, False, False, True])
    with monkeypatch.context() as patch:
        clock = SimpleNamespace(monotonic=lambda: float(next(minutes)), sleep=time.sleep)
        patch.setattr(service, "time", clock)  # only there: other threads use the clock too
        service.wait(Children(), lambda: next(answers), "the service")
    assert "waiting for the service (360 s)" in capfd.readouterr().out


def test_start_ends_when_a_process_ends() -> None:
    children = Children()
    child = children.start(Child("web", [sys.executable, "-c", "raise SystemExit(3)"], os.environ))
    with pytest.raises(Died, match=r"web ended unexpectedly \(exit status 3\)"):
        service.wait(children, lambda: False, "the service")
    assert child.process.poll() == 3
