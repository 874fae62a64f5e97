"""What ./dev and the tests' servers promise: nothing is left behind, nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from devtools import DevError, commands, environment, processes, service, valkey
from devtools.processes import Child, Children, Died
from tests import servers

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


def test_a_file_of_variables_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\nexport A=1\n\nB = \"two words\"\nC='$A'\nD=x=y\n")
    found = environment.read_file(file)
    assert found == {"A": "1", "B": "two words", "C": "$A", "D": "x=y"}


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nnonsense\n")
    with pytest.raises(DevError, match="line 2"):
        environment.read_file(file)


def test_a_port_that_is_taken_is_not_chosen() -> None:
    port = processes.free_port()
    assert processes.free_port(port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert processes.free_port(port) > port


def test_where_a_service_is_is_known_while_it_is_there(tmp_path: Path) -> None:
    assert service.told(tmp_path) is None
    with service.telling(tmp_path, "http://127.0.0.1:8001"):
        assert service.told(tmp_path) == "http://127.0.0.1:8001"
        with service.telling(tmp_path, "http://127.0.0.1:8002"):
            assert service.told(tmp_path) == "http://127.0.0.1:8002"
        with pytest.raises(KeyboardInterrupt), service.telling(tmp_path, "http://127.0.0.1:8003"):
            raise KeyboardInterrupt
        assert service.told(tmp_path) is None


def test_the_end_of_one_service_does_not_hide_another(tmp_path: Path) -> None:
    first = service.telling(tmp_path, "http://127.0.0.1:8001")
    with first:
        (tmp_path / "address").write_text("http://127.0.0.1:8002")
    assert service.told(tmp_path) == "http://127.0.0.1:8002"


@pytest.mark.parametrize("command", ["run", "demo", "check", "migrate"])
def test_a_command_without_arguments_is_explained_and_not_run_with_some(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main([command, "--help"]) == 0
    assert commands.main([command, "--port", "8001"]) == 2
    told = capsys.readouterr()
    assert told.out.startswith(f"./dev {command}: ")
    assert "PORT=8001" in told.err


def test_a_directory_has_one_valkey(tmp_path: Path) -> None:
    held = valkey.lock(tmp_path)
    with pytest.raises(DevError, match="in use"):
        valkey.lock(tmp_path)
    os.close(held)
    os.close(valkey.lock(tmp_path))


def test_what_a_killed_valkey_was_told_is_there_again(tmp_path: Path) -> None:
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


def test_no_process_is_left_behind() -> None:
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


def test_a_child_that_dies_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child("clock", [sys.executable, "-c", "print('oh'); raise SystemExit(3)"], os.environ)
    child.process.wait()
    children = Children()
    children.start(child)
    with pytest.raises(Died, match=r"clock has ended unexpectedly \(exit status 3\)"):
        children.check()
    assert "clock  | oh" in capfd.readouterr().out


def test_a_directory_and_the_files_in_it_become_private(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o755)
    (directory / "mailwatch.db").touch(mode=0o644)
    (directory / "valkey").mkdir()
    (directory / "valkey" / "url").touch(mode=0o644)
    environment.make_private(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("mailwatch.db", "valkey/url"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600


def test_the_embedded_valkey_asks_for_a_password_that_no_command_line_has(tmp_path: Path) -> None:
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
