"""./dev run and ./dev demo: a complete service on this machine, until it is stopped."""

import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from devtools import ROOT, CommandError, environment, valkey
from devtools.environment import PYTHON, say
from devtools.processes import Child, Children, Died, Stop, free_port

PORT = 8000
PROGRESS_SECONDS = 15  # between two messages while the service starts
OWNER = "admin@localhost.localdomain"  # of the account that `flask setup` creates
NO_REDIS = "redis://127.0.0.1:1/0"  # no server listens there


@dataclass(slots=True)
class Plan:
    """The data directory and the variables of a service.

    variables    completed while the processes start
    credentials  what the first start created, as text; empty after that
    """

    directory: Path
    variables: dict[str, str]
    is_demo: bool = False
    credentials: str = ""


def run() -> int:
    """Run the service; return 0 after Ctrl-C or SIGTERM, 1 if one of its processes ended."""
    return _serve(_plan(ROOT / ".dev"))


def demo() -> int:
    """Run the service with sample domains, and with its own name server and data."""
    return _serve(_demo_plan())


def variables(*, is_demo: bool = False) -> dict[str, str]:
    """Return the variables of a command on the data of ``./dev run`` or ``./dev demo``."""
    plan = _demo_plan() if is_demo else _plan(ROOT / ".dev")
    url = _url_file(plan.directory)
    # The Valkey of the running service; if none runs, there are no workers to notify.
    plan.variables.setdefault("REDIS_URL", url.read_text() if url.exists() else NO_REDIS)
    expected = f"http://127.0.0.1:{plan.variables['PORT']}"
    plan.variables.setdefault("BASE_URL", running_address(plan.directory) or expected)
    return plan.variables


@contextmanager
def publish_address(directory: Path, address: str) -> Iterator[None]:
    """Publish the address of the running service to other commands while the context is open."""
    file = _address_file(directory)
    file.write_text(address)
    try:
        yield
    finally:
        if running_address(directory) == address:  # another service may have started since
            file.unlink(missing_ok=True)


def running_address(directory: Path) -> str | None:
    """Return the address of the running service of this directory; None if none runs."""
    with suppress(FileNotFoundError):
        return _address_file(directory).read_text()
    return None


def _address_file(directory: Path) -> Path:
    return directory / "address"


def _plan(directory: Path) -> Plan:
    environment.make_private(directory)
    defaults = {
        "ALLOW_SPECIAL_USE_NAMES": "on",  # for example.com in the README
        "BIND": "127.0.0.1",
        "DATABASE_URL": _sqlite(directory),
        "DOMAIN_VERIFICATION": "off",
        "PORT": str(PORT),
    }
    values = environment.variables({**defaults, **environment.read_file(ROOT / ".env")})
    if not values.get("SECRET_KEY"):
        values["SECRET_KEY"] = _secret(directory)
    return Plan(directory, values)


def _demo_plan() -> Plan:
    """Sample domains must not mix with real ones, so the demo always has its own data."""
    plan = _plan(ROOT / ".dev" / "demo")
    plan.variables["DATABASE_URL"] = _sqlite(plan.directory)
    plan.variables.pop("REDIS_URL", None)
    plan.variables["SECRET_KEY"] = _secret(plan.directory)
    plan.is_demo = True
    return plan


def _sqlite(directory: Path) -> str:
    return f"sqlite:///{directory / 'mailwatch.db'}"


def _secret(directory: Path) -> str:
    """Return the secret of this directory's data; the first start creates it."""
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
            os.umask(0o077)  # for the database and all other files of the processes
            if plan.is_demo:
                _start_name_server(children, plan)
            _start_valkey(children, plan)
            _choose_port(plan)
            with publish_address(plan.directory, plan.variables["BASE_URL"]):
                _run_processes(children, plan)
    except Stop:
        return 0
    except Died as error:
        say(f"{error}; the other processes were stopped")
    return 1


def _run_processes(children: Children, plan: Plan) -> None:
    plan.credentials = _set_up(plan)
    try:
        _start_processes(children, plan)
        _await_ready(children, plan)
        if plan.is_demo:
            _add_samples(plan)
    except BaseException:
        _print_credentials(plan)  # they are never shown again
        raise
    _announce(plan)
    children.watch()


def _start_name_server(children: Children, plan: Plan) -> None:
    """Start the demo's name server, and add the variables that it prints on its first line."""
    first: list[str] = []

    def take_first(line: str) -> bool:
        if first:
            return False
        first.append(line)
        return True

    command = [str(PYTHON), "-m", "demo"]
    children.start(Child("demo", command, plan.variables, on_line=take_first))
    wait(children, lambda: bool(first), "the name server of the demo")
    try:
        addresses = json.loads(first[0])
    except ValueError:
        raise CommandError(f"the name server of the demo failed: {first[0].strip()}") from None
    plan.variables.update({name: str(value) for name, value in addresses.items()})


def wait(children: Children, is_done: Callable[[], bool], name: str) -> None:
    """Wait as long as all processes run; on a busy machine a start takes minutes.

    raises  Died
    """
    started = reported = time.monotonic()
    while not is_done():
        children.check()
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            say(f"waiting for {name} ({reported - started:.0f} s)")
        time.sleep(0.1)


def _start_valkey(children: Children, plan: Plan) -> None:
    """Start the embedded Valkey, unless REDIS_URL is set."""
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
    """Whether the line is advice about a kernel setting, which ./dev does not change."""
    return "vm.overcommit_memory" in line


def _choose_port(plan: Plan) -> None:
    preferred = plan.variables["PORT"]
    if not preferred.isdigit() or not 0 < int(preferred) < 65536:
        raise CommandError(f"PORT is '{preferred}'; set a number from 1 to 65535")
    port = free_port(int(preferred), plan.variables["BIND"])
    if port != int(preferred):
        say(f"port {preferred} is in use; this service listens on {port}")
    plan.variables["PORT"] = str(port)
    plan.variables.setdefault("BASE_URL", f"http://127.0.0.1:{port}")
    if plan.variables["BIND"] not in ("127.0.0.1", "::1"):
        plan.variables.setdefault("ALLOWED_HOSTS", "*")  # the machine has other names


def _set_up(plan: Plan) -> str:
    """Apply the migrations and create the first account; return its credentials, if created."""
    _step(plan, "updating the database", "alembic", "upgrade", "head")
    return _step(plan, None, "flask", "--app", "wsgi", "setup")


def _step(plan: Plan, message: str | None, name: str, *arguments: str) -> str:
    """Return the output of a command.

    raises  CommandError if it fails
    """
    if message:
        say(message)
    result = subprocess.run(
        [environment.program(name), *arguments],
        env=plan.variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        process_group=0,
    )
    if result.returncode:
        output = f"{result.stdout}{result.stderr}".strip()
        raise CommandError(f"`{name} {' '.join(arguments)}` failed:\n{output}")
    return result.stdout.strip()


def _add_samples(plan: Plan) -> None:
    """Add the sample domains and the reports about them."""
    say(_step(plan, "adding the sample domains", "flask", "--app", "wsgi", "demo"))
    files = str(plan.directory / "reports")
    _step(plan, None, "python", "-m", "demo.reports", files)
    ingest = ("flask", "--app", "wsgi", "ingest", "--no-wait", "--account", "default", files)
    say(_step(plan, "importing their reports", *ingest).splitlines()[-1])


def _start_processes(children: Children, plan: Plan) -> None:
    gunicorn = [environment.program("gunicorn"), "-c", "gunicorn.conf.py", "wsgi:app"]
    commands: Mapping[str, list[str]] = {
        "web": gunicorn,
        "worker": [str(PYTHON), "-m", "worker"],
        "clock": [str(PYTHON), "-m", "worker.clock"],
    }
    say(f"starting {', '.join(commands)}")
    for name, command in commands.items():
        children.start(Child(name, command, plan.variables))


def _await_ready(children: Children, plan: Plan) -> None:
    address = _address(plan)
    wait(children, lambda: _is_ready(address), address)


def _is_ready(address: str) -> bool:
    # The service is local: no proxy of the environment is used.
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
    """Return the address at which this machine reaches the service."""
    host = plan.variables["BIND"]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{plan.variables['PORT']}"


def _announce(plan: Plan) -> None:
    """Print the address, the user, and how to sign in."""
    address = _address(plan)
    flask = "./dev flask --demo" if plan.is_demo else "./dev flask"
    _print_credentials(plan)
    lines = [f"API docs   {address}/docs"]
    if not plan.credentials:  # otherwise they have just been printed
        lines += [
            f"dashboard  {address}/auth/login",
            f"user       {OWNER} (as created on the first start)",
            f"password   shown on the first start; reset: {flask} users reset-password {OWNER}",
            f"API key    create a new one: {flask} keys create --help",
        ]
    for line in (*lines, "stop       Ctrl-C"):
        say(line)


def _print_credentials(plan: Plan) -> None:
    for line in plan.credentials.splitlines():
        say(line)
