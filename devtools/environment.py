"""The environment of a command: ``.venv`` with what is locked, and its processes' variables.

Every file that is installed must have a hash that the lock names, with uv as with pip.
"""

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

from devtools import ROOT, DevError

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VENDOR = ROOT / "vendor"
LOCAL, DEMO, DEVELOPMENT = (f"requirements-{name}.txt" for name in ("local", "demo", "dev"))
INSTALLER = "requirements-installer.txt"  # uv: five times as fast as pip, which takes its place
_NESTED = (LOCAL, DEMO, DEVELOPMENT)  # each lock holds all of those before it
PATIENCE = 10  # seconds between two signs of life
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def say(words: str) -> None:
    """Print a line of our own; a terminal that is gone is no reason to stop."""
    with suppress(OSError):
        print(f"dev    | {words}", flush=True)


def prepare(lock: str) -> None:
    """Make ``.venv`` hold what the lock names, unless it does already.

    lock    LOCAL, DEMO or DEVELOPMENT
    raises  Complaint if it cannot be made
    """
    if _is_stamped(VENV, lock):
        return
    with _alone():
        if _is_stamped(VENV, lock):  # another ./dev did it meanwhile
            return
        started = time.monotonic()
        _make_venv(VENV)
        _install(PYTHON, lock)
        for contained in _NESTED[: _NESTED.index(lock) + 1]:
            _stamp(VENV, contained).write_text(_hash(contained))
        say(f"the environment is ready, after {time.monotonic() - started:.0f} s")


def prepare_separate(lock: str) -> Path:
    """The Python of an environment of its own below ``.dev`` that holds what the lock names.

    raises  Complaint if it cannot be made
    """
    venv = ROOT / ".dev" / Path(lock).stem
    python = venv / "bin" / "python"
    with _alone():
        if not _is_stamped(venv, lock):
            _make_venv(VENV)  # it holds the installer
            _make_venv(venv)
            _install(python, lock)
            _stamp(venv, lock).write_text(_hash(lock))
    return python


def installer() -> Path | None:
    """The uv of ``.venv``, installed if need be; None if it cannot be."""
    with _alone():
        _make_venv(VENV)
        _install_uv()
    uv = Path(program("uv"))
    return uv if uv.exists() else None


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


def make_private(directory: Path) -> None:
    """Create a directory that only this user can enter; do the same to one that is there.

    Files of earlier versions in it become this user's alone, too.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    for path in [*directory.glob("*"), *directory.glob("valkey/*")]:
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)


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
            raise DevError(f"{path.name}, line {number}: it must read like NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def _hash(lock: str) -> str:
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()


def _stamp(venv: Path, lock: str) -> Path:
    return venv / f"{Path(lock).stem}.sha256"


def _is_stamped(venv: Path, lock: str) -> bool:
    stamp = _stamp(venv, lock)
    return stamp.exists() and stamp.read_text() == _hash(lock) and _works(venv)


def _works(venv: Path) -> bool:
    """The venv's Python starts: it does not once the Python that it was made from is gone."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    command = [str(venv / "bin" / "python"), "-I", "-c", check]
    try:
        return not subprocess.run(command, capture_output=True).returncode
    except OSError:
        return False


@contextmanager
def _alone() -> Iterator[None]:
    """Let one ./dev at a time build the environment; the others wait."""
    make_private(ROOT / ".dev")
    with (ROOT / ".dev" / "environment.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another ./dev is making the environment; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_venv(venv: Path) -> None:
    if _works(venv):
        return
    name = venv.relative_to(ROOT)
    say(f"making {name} with Python {sys.version.split()[0]}")
    # Without pip, since Debian's Python has no ensurepip; the vendored wheel does its work.
    command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)]
    status, output = _run(command, f"still making {name}")
    if status:
        raise DevError(f"{name} could not be made:\n{output}")


def _pip(python: Path) -> list[str]:
    """The vendored pip's command to install a lock, run by the Python that it installs for."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        wheel = VENDOR / name
        if not wheel.exists() or hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
            raise DevError(f"vendor/{name} is not the file that SHA256SUMS names; restore it")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes"]
        return [str(python), f"{wheel}/pip", "install", *options, "-r"]
    raise DevError("vendor/SHA256SUMS names no wheel; restore it")


def _install(python: Path, lock: str) -> None:
    say(f"installing what {lock} names, from PyPI (10 to 60 s)")
    output = _install_with_uv(python, lock)
    if output is None:
        return
    say("uv could not do it; installing with pip")
    status, pip_output = _run([*_pip(python), lock], "still installing")
    if status:
        hint = "Is PyPI reachable? A proxy goes into HTTPS_PROXY, a mirror into PIP_INDEX_URL."
        raise DevError(f"the packages could not be installed.\n{output}\n{pip_output}\n{hint}")


def _install_with_uv(python: Path, lock: str) -> str | None:
    """None once it has installed everything, else its output."""
    uv = Path(program("uv"))
    output = _install_uv()
    if not uv.exists():
        return output
    try:
        status, output = _run([*_uv(python), lock], "still installing")
    except OSError as error:
        return str(error)
    return output if status else None


def _uv(python: Path) -> list[str]:
    """The command of uv to install a lock for this Python."""
    command = [program("uv"), "pip", "install", "--quiet", "--python", str(python)]
    return [*command, *uv_options(), "--require-hashes", "-r"]


def _install_uv() -> str:
    """The output of the installation, empty if uv is there at the version of its lock."""
    if Path(program("uv")).exists() and _is_stamped(VENV, INSTALLER):
        return ""
    status, output = _run([*_pip(PYTHON), INSTALLER], "installing uv")
    if not status:
        _stamp(VENV, INSTALLER).write_text(_hash(INSTALLER))
    return output


def uv_options() -> list[str]:
    """The options of every call of uv on this machine."""
    options = []
    if CERTIFICATES.exists():
        options.append("--system-certs")  # a company's own authority is only there
    if not os.access(Path.home(), os.W_OK):
        options.append("--no-cache")
    return options


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
