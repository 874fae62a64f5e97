"""The environment of a command: ``.venv`` with what is pinned, and its processes' variables."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from devtools import ROOT, Complaint

UV = "uv==0.13.9"  # installs five times as fast as pip; if it cannot be had, pip does it
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VENDOR = ROOT / "vendor"
LOCAL = ("requirements.txt", "requirements-local.txt")
DEMO = (*LOCAL, "requirements-demo.txt")
DEVELOPMENT = (*DEMO, "requirements-dev.txt")
PATIENCE = 10  # seconds between two signs of life
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def say(words: str) -> None:
    """Print a line of our own; a terminal that is gone is no reason to stop."""
    with suppress(OSError):
        print(f"dev    | {words}", flush=True)


def prepare(files: Sequence[str]) -> None:
    """Make ``.venv`` hold what these files pin, unless it does already.

    files   LOCAL, DEMO or DEVELOPMENT; each of them holds the ones before it
    raises  Complaint if it cannot be made
    """
    if _is_stamped(files):
        return
    with _alone():
        if _is_stamped(files):  # another ./dev did it meanwhile
            return
        started = time.monotonic()
        _make_venv()
        _install(files)
        for known in (LOCAL, DEMO, DEVELOPMENT):
            if set(known) <= set(files):
                _stamp(known).write_text(_hash(known))
        say(f"the environment is ready, after {time.monotonic() - started:.0f} s")


def variables(defaults: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a child: the caller's, and the defaults for what that does not have."""
    found = {**(defaults or {}), **os.environ}
    for name in ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"):
        found.pop(name, None)  # another Python's, not that of .venv
    path = found.get("PATH", os.defpath)
    return {
        **found,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{path}",
        "VIRTUAL_ENV": str(VENV),
        "PYTHONUNBUFFERED": "1",
    }


def program(name: str) -> str:
    """The path of a program that a package has put into ``.venv``."""
    return str(VENV / "bin" / name)


def read_file(path: Path) -> dict[str, str]:
    """The ``NAME=value`` lines of a file, if there is one.

    Quotes around a value are dropped, and nothing in it is expanded.
    """
    if not path.exists():
        return {}
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or not name.strip().isidentifier():
            raise Complaint(f"{path.name}, line {number}: it must read like NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def _hash(files: Sequence[str]) -> str:
    content = b"\0".join((ROOT / file).read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()


def _stamp(files: Sequence[str]) -> Path:
    return VENV / f"{Path(files[-1]).stem}.sha256"


def _is_stamped(files: Sequence[str]) -> bool:
    stamp = _stamp(files)
    return stamp.exists() and stamp.read_text() == _hash(files) and _works()


def _works() -> bool:
    """The venv's Python starts: it does not once the Python that it was made from is gone."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return not subprocess.run([PYTHON, "-I", "-c", check], capture_output=True).returncode
    except OSError:
        return False


@contextmanager
def _alone() -> Iterator[None]:
    """Let one ./dev at a time build the environment; the others wait."""
    (ROOT / ".dev").mkdir(exist_ok=True)
    with (ROOT / ".dev" / "environment.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another ./dev is making the environment; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_venv() -> None:
    if _works():
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    # Without pip, since Debian's Python has no ensurepip; the vendored wheel does its work.
    command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]
    status, output = _run(command, "still making .venv")
    if status:
        raise Complaint(f".venv could not be made:\n{output}")


def _pip() -> list[str]:
    """The command of the vendored pip, whose wheel is what it was when it was put there."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        wheel = VENDOR / name
        if not wheel.exists() or hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
            raise Complaint(f"vendor/{name} is not the file that SHA256SUMS names; restore it")
        return [str(PYTHON), f"{wheel}/pip", "--no-input", "--disable-pip-version-check"]
    raise Complaint("vendor/SHA256SUMS names no wheel; restore it")


def _install(files: Sequence[str]) -> None:
    say(f"installing what {files[-1]} pins, from PyPI (10 to 60 s)")
    pinned = [argument for file in files for argument in ("-r", file)]
    output = _install_with_uv(pinned)
    if output is None:
        return
    say("uv could not do it; installing with pip")
    status, pip_output = _run([*_pip(), "install", "--quiet", *pinned], "still installing")
    if status:
        hint = "Is PyPI reachable? A proxy goes into HTTPS_PROXY, a mirror into PIP_INDEX_URL."
        raise Complaint(f"the packages could not be installed.\n{output}\n{pip_output}\n{hint}")


def _install_with_uv(pinned: Sequence[str]) -> str | None:
    """None once it has installed everything, else what it said."""
    uv = Path(program("uv"))
    if not uv.exists():
        status, output = _run([*_pip(), "install", "--quiet", UV], "still getting uv")
        if status or not uv.exists():
            return output
    command = [str(uv), "pip", "install", "--quiet", "--python", str(PYTHON), *pinned]
    if CERTIFICATES.exists():
        command.append("--system-certs")  # a company's own authority is only there
    if not os.access(Path.home(), os.W_OK):
        command.append("--no-cache")
    try:
        status, output = _run(command, "still installing")
    except OSError as error:
        return str(error)
    return output if status else None


def _run(command: Sequence[str], words: str) -> tuple[int, str]:
    """The exit status and the output of a command that may be slow; now and then it says so."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
            env=variables(),
        )  # fmt: skip
        try:
            while True:
                try:
                    status = process.wait(PATIENCE)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{words} ({time.monotonic() - started:.0f} s)")
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        return status, output.read().strip()
