"""./dev run and ./dev demo: a whole service on this machine, until it is told to stop."""

import json
import os
import re
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from devtools import ROOT, DevError, environment, valkey
from devtools.environment import PYTHON, say
from devtools.processes import Child, Children, Died, Stop, free_port

PORT = 8000
START_SECONDS = 60
NO_REDIS = "redis://127.0.0.1:1/0"  # nothing listens there


@dataclass(slots=True)
class Plan:
    """What a service is started with; ``variables`` grows while its parts come up."""

    directory: Path
    variables: dict[str, str]
    is_demo: bool = False


def run() -> int:
    """Run the service; exit status 0 after Ctrl-C or SIGTERM, 1 if a part of it died."""
    return _serve(_plan(ROOT / ".dev"))


def demo() -> int:
    """Run the service with a name server and data of its own, on sample domains."""
    plan = _plan(ROOT / ".dev" / "demo")
    # Sample domains have no place among real ones, so its data is always its own.
    plan.variables["DATABASE_URL"] = _sqlite(plan.directory)
    plan.variables.pop("REDIS_URL", None)
    plan.variables["SECRET_KEY"] = _secret(plan.directory)
    plan.is_demo = True
    return _serve(plan)


def variables() -> dict[str, str]:
    """The variables of a command that works on the data of ``./dev run``."""
    plan = _plan(ROOT / ".dev")
    url = _url_file(plan.directory)
    # Where the running service has its Valkey; with none running nobody needs to be told anything.
    plan.variables.setdefault("REDIS_URL", url.read_text() if url.exists() else NO_REDIS)
    expected = f"http://127.0.0.1:{plan.variables['PORT']}"
    plan.variables.setdefault("BASE_URL", told(plan.directory) or expected)
    return plan.variables


@contextmanager
def telling(directory: Path, address: str) -> Iterator[None]:
    """Have other commands know where the service of this directory is, as long as it is there."""
    file = _address_file(directory)
    file.write_text(address)
    try:
        yield
    finally:
        if told(directory) == address:  # another service may have come since
            file.unlink(missing_ok=True)


def told(directory: Path) -> str | None:
    """Where the service of this directory is; None if none is known to run."""
    with suppress(FileNotFoundError):
        return _address_file(directory).read_text()
    return None


def _address_file(directory: Path) -> Path:
    return directory / "address"


def _plan(directory: Path) -> Plan:
    environment.make_private(directory)
    defaults = {
        "BIND": "127.0.0.1",
        "DATABASE_URL": _sqlite(directory),
        "DOMAIN_VERIFICATION": "off",
        "PORT": str(PORT),
    }
    found = environment.variables({**defaults, **environment.read_file(ROOT / ".env")})
    if not found.get("SECRET_KEY"):
        found["SECRET_KEY"] = _secret(directory)
    return Plan(directory, found)


def _sqlite(directory: Path) -> str:
    return f"sqlite:///{directory / 'mailwatch.db'}"


def _secret(directory: Path) -> str:
    """The secret of this directory's data, made at the first start."""
    path = directory / "secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with open(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
    return path.read_text().strip()


def _serve(plan: Plan) -> int:
    try:
        with Children() as children:
            environment.prepare(environment.DEMO if plan.is_demo else environment.LOCAL)
            os.umask(0o077)  # for the database and everything else that the parts write
            if plan.is_demo:
                _start_name_server(children, plan)
            _start_valkey(children, plan)
            _choose_port(plan)
            with telling(plan.directory, plan.variables["BASE_URL"]):
                _run_parts(children, plan)
    except Stop:
        return 0
    except Died as death:
        say(f"{death}; the rest was stopped")
    return 1


def _run_parts(children: Children, plan: Plan) -> None:
    token = _set_up(plan)
    _start_parts(children, plan)
    _await_ready(children, plan)
    if plan.is_demo:
        _add_samples(plan)
    _announce(plan, token)
    children.watch()


def _start_name_server(children: Children, plan: Plan) -> None:
    """Start the demo's name server, and take the variables that its first line gives."""
    first: list[str] = []

    def take_first(line: str) -> bool:
        if first:
            return False
        first.append(line)
        return True

    command = [str(PYTHON), "-m", "demo"]
    children.start(Child("demo", command, plan.variables, on_line=take_first))
    deadline = time.monotonic() + START_SECONDS
    while not first:
        children.check()
        if time.monotonic() > deadline:
            raise DevError("the demo's name server does not say where it is")
        time.sleep(0.05)
    try:
        given = json.loads(first[0])
    except ValueError:
        raise DevError(f"the demo's name server has failed: {first[0].strip()}") from None
    plan.variables.update({name: str(value) for name, value in given.items()})


def _start_valkey(children: Children, plan: Plan) -> None:
    """Start the embedded Valkey, unless REDIS_URL names a server."""
    if plan.variables.get("REDIS_URL"):
        return
    directory = plan.directory / "valkey"
    held = valkey.lock(directory)
    port = free_port()
    password = valkey.write_password(directory)
    command = valkey.command(valkey.find_binary(), directory, port, is_persistent=True)
    children.start(Child("valkey", command, plan.variables, on_line=_is_advice, keep_open=[held]))
    valkey.await_answer(port, children.check)
    plan.variables["REDIS_URL"] = f"redis://:{password}@127.0.0.1:{port}/0"
    url_file = _url_file(plan.directory)
    url_file.touch(mode=0o600)
    url_file.write_text(plan.variables["REDIS_URL"])


def _url_file(directory: Path) -> Path:
    return directory / "valkey" / "url"


def _is_advice(line: str) -> bool:
    """Valkey's advice on a kernel's settings, which are not ours to change."""
    return "vm.overcommit_memory" in line


def _choose_port(plan: Plan) -> None:
    wanted = plan.variables["PORT"]
    if not wanted.isdigit() or not 0 < int(wanted) < 65536:
        raise DevError(f"PORT is '{wanted}'; it must be a number up to 65535")
    port = free_port(int(wanted), plan.variables["BIND"])
    if port != int(wanted):
        say(f"port {wanted} is taken; this service takes {port}")
    plan.variables["PORT"] = str(port)
    plan.variables.setdefault("BASE_URL", f"http://127.0.0.1:{port}")
    if plan.variables["BIND"] not in ("127.0.0.1", "::1"):
        plan.variables.setdefault("ALLOWED_HOSTS", "*")  # the machine has names we do not know


def _set_up(plan: Plan) -> str | None:
    """Bring the tables up to date and make the first account; its key, at the first start."""
    _step(plan, "bringing the database up to date", "alembic", "upgrade", "head")
    printed = _step(plan, None, "flask", "--app", "wsgi", "setup")
    if printed:
        print(printed, flush=True)  # at once: it is shown this one time
    found = re.search(r"\bmp_\S+", printed)
    return found[0].rstrip("'\"") if found else None


def _step(plan: Plan, words: str | None, name: str, *arguments: str) -> str:
    """What a command that must succeed has printed."""
    if words:
        say(words)
    done = subprocess.run(
        [environment.program(name), *arguments], env=plan.variables, cwd=ROOT,
        capture_output=True, text=True, process_group=0,
    )  # fmt: skip
    if done.returncode:
        shown = f"{done.stdout}{done.stderr}".strip()
        raise DevError(f"`{name} {' '.join(arguments)}` has failed:\n{shown}")
    return done.stdout.strip()


def _add_samples(plan: Plan) -> None:
    """The sample domains, and what receivers have reported of them."""
    print(_step(plan, "adding the sample domains", "flask", "--app", "wsgi", "demo"))
    files = str(plan.directory / "reports")
    _step(plan, None, "python", "-m", "demo.reports", files)
    ingest = ("flask", "--app", "wsgi", "ingest", "--account", "default", files)
    print(_step(plan, "taking in their reports", *ingest).splitlines()[-1])


def _start_parts(children: Children, plan: Plan) -> None:
    gunicorn = [environment.program("gunicorn"), "-c", "gunicorn.conf.py", "wsgi:app"]
    parts: Mapping[str, list[str]] = {
        "web": gunicorn,
        "worker": [str(PYTHON), "-m", "worker"],
        "clock": [str(PYTHON), "-m", "worker.clock"],
    }
    say(f"starting {', '.join(parts)}")
    for name, command in parts.items():
        children.start(Child(name, command, plan.variables))


def _await_ready(children: Children, plan: Plan) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(_address(plan)):
        children.check()
        if time.monotonic() > deadline:
            raise DevError(f"{_address(plan)} is not ready after {START_SECONDS} s")
        time.sleep(0.1)


def _is_ready(address: str) -> bool:
    # Ours is asked directly, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in ("/readyz", "/healthz"):
        try:
            with opener.open(address + path, timeout=3):
                return True
        except urllib.error.HTTPError as error:
            if error.code != 404:
                return False
        except OSError:
            return False
    return False


def _address(plan: Plan) -> str:
    """Where this machine reaches the service."""
    host = plan.variables["BIND"]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{plan.variables['PORT']}"


def _announce(plan: Plan, token: str | None) -> None:
    address = _address(plan)
    if token is None:
        say("the first start printed a key; KEY stands for it (another: see docs/operating.md)")
    for words in (
        f"ready      {address}",
        f"dashboard  {address}/auth/login",
        f"API        {address}/docs",
        f"try it     curl -H 'Authorization: Bearer {token or '$KEY'}' {address}/v1/domains",
        "stop       Ctrl-C",
    ):
        say(words)
