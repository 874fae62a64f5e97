"""The environment of a command: ``.venv`` with the locked packages, and process variables.

Every installed file must have a hash that the lock names, with uv and with pip.
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

from devtools import ROOT, CommandError

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VENDOR = ROOT / "vendor"
LOCAL, DEMO, DEVELOPMENT = (f"requirements-{name}.txt" for name in ("local", "demo", "dev"))
INSTALLER = "requirements-installer.txt"  # uv is five times as fast as pip, the fallback
_NESTED = (LOCAL, DEMO, DEVELOPMENT)  # each lock holds all of those before it
PROGRESS_SECONDS = 10  # between two progress messages
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def say(text: str) -> None:
    """Print a line of ./dev itself; a closed terminal does not stop the command."""
    with suppress(OSError):
        print(f"dev    | {text}", flush=True)


def prepare(lock: str) -> None:
    """Install the packages of a lock into ``.venv``, unless they are there already.

    lock    LOCAL, DEMO or DEVELOPMENT
    raises  CommandError if that fails
    """
    if _is_stamped(VENV, lock):
        return
    with _alone():
        if _is_stamped(VENV, lock):  # another ./dev installed them in the meantime
            return
        started = time.monotonic()
        _make_venv(VENV)
        _install(PYTHON, lock)
        for contained in _NESTED[: _NESTED.index(lock) + 1]:
            _stamp(VENV, contained).write_text(_hash(contained))
        say(f"the environment is ready after {time.monotonic() - started:.0f} s")


def prepare_separate(lock: str) -> Path:
    """Return the Python of a separate environment below ``.dev`` with the packages of a lock.

    raises  CommandError if that fails
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
    """Return the path of uv in ``.venv``, after installing it if needed; None if that fails."""
    with _alone():
        _make_venv(VENV)
        _install_uv()
    uv = Path(program("uv"))
    return uv if uv.exists() else None


def variables(defaults: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a child process: those of the caller, then the defaults."""
    merged = {**(defaults or {}), **os.environ}
    for name in ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"):
        merged.pop(name, None)  # these belong to another Python than that of .venv
    path = merged.get("PATH", os.defpath)
    return {
        **merged,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{path}",
        "VIRTUAL_ENV": str(VENV),
        "PYTHONUNBUFFERED": "1",
    }


def make_private(directory: Path) -> None:
    """Create a directory that only this user can enter, or restrict an existing one.

    Files in it that earlier versions created become private, too.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    for path in [*directory.glob("*"), *directory.glob("valkey/*")]:
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)


def program(name: str) -> str:
    """Return the path of a program in ``.venv``."""
    return str(VENV / "bin" / name)


def read_file(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file; nothing if there is no such file.

    Quotes around a value are removed, and nothing in it is expanded.

    raises  CommandError for a line of another form
    """
    if not path.exists():
        return {}
    values = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or not name.strip().isidentifier():
            raise CommandError(f"{path.name}, line {number}: expected format: NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def _hash(lock: str) -> str:
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()


def _stamp(venv: Path, lock: str) -> Path:
    return venv / f"{Path(lock).stem}.sha256"


def _is_stamped(venv: Path, lock: str) -> bool:
    stamp = _stamp(venv, lock)
    return stamp.exists() and stamp.read_text() == _hash(lock) and _works(venv)


def _works(venv: Path) -> bool:
    """Whether the venv's Python starts: it does not after its base Python was removed."""
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
            say("another ./dev is creating the environment; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_venv(venv: Path) -> None:
    if _works(venv):
        return
    name = venv.relative_to(ROOT)
    say(f"creating {name} with Python {sys.version.split()[0]}")
    # Without pip, since Debian's Python has no ensurepip; the vendored wheel is used instead.
    command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)]
    status, output = _run(command, f"still creating {name}")
    if status:
        raise CommandError(f"{name} could not be created:\n{output}")


def _pip(python: Path) -> list[str]:
    """Return the command of the vendored pip that installs a lock for this Python."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        wheel = VENDOR / name
        if not wheel.exists() or hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
            raise CommandError(f"vendor/{name} does not match SHA256SUMS; restore it")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes"]
        return [str(python), f"{wheel}/pip", "install", *options, "-r"]
    raise CommandError("vendor/SHA256SUMS names no wheel; restore it")


def _install(python: Path, lock: str) -> None:
    say(f"installing the packages of {lock} from PyPI (10 to 60 s)")
    output = _install_with_uv(python, lock)
    if output is None:
        return
    say("uv failed; installing with pip")
    status, pip_output = _run([*_pip(python), lock], "still installing")
    if status:
        hint = "Is PyPI reachable? Set HTTPS_PROXY for a proxy, or PIP_INDEX_URL for a mirror."
        raise CommandError(f"the packages could not be installed.\n{output}\n{pip_output}\n{hint}")


def _install_with_uv(python: Path, lock: str) -> str | None:
    """Install a lock with uv; return None on success, otherwise the output."""
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
    """Return the command of uv that installs a lock for this Python."""
    command = [program("uv"), "pip", "install", "--quiet", "--python", str(python)]
    return [*command, *uv_options(), "--require-hashes", "-r"]


def _install_uv() -> str:
    """Install uv; return the output, empty if the locked version is installed already."""
    if Path(program("uv")).exists() and _is_stamped(VENV, INSTALLER):
        return ""
    status, output = _run([*_pip(PYTHON), INSTALLER], "installing uv…")
    if not status:
        _stamp(VENV, INSTALLER).write_text(_hash(INSTALLER))
    return output


def uv_options() -> list[str]:
    """Return the options of every call of uv on this machine."""
    options = []
    if CERTIFICATES.exists():
        options.append("--system-certs")  # a private certificate authority is only there
    if not os.access(Path.home(), os.W_OK):
        options.append("--no-cache")
    return options


def _run(command: Sequence[str], progress: str) -> tuple[int, str]:
    """Run a command that may be slow; return its exit status and output.

    progress  is printed every few seconds while the command runs
    """
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=variables(),
        )
        try:
            while True:
                try:
                    status = process.wait(PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{progress} ({time.monotonic() - started:.0f} s)")
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        return status, output.read().strip()
