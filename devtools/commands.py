"""The commands of ./dev."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from devtools import ROOT, DevError, environment, service, supply
from devtools.environment import DEVELOPMENT, LOCAL, PYTHON, program, say

Command = Callable[[Sequence[str]], int]
HELP = ("help", "-h", "--help")


def main(arguments: Sequence[str]) -> int:
    """The exit status of the command that the arguments name; 2 if they name none."""
    name, rest = (arguments[0] if arguments else ""), arguments[1:]
    if name not in COMMANDS:
        print(_usage(), file=sys.stdout if name in HELP else sys.stderr)
        return 0 if name in HELP else 2
    command = COMMANDS[name]
    if rest and command in ALONE:
        return _explain(name, is_asked=rest[0] in HELP)
    try:
        return command(rest)
    except DevError as complaint:
        print(f"dev    | {complaint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(_arguments: Sequence[str]) -> int:
    """the service on http://127.0.0.1:8000; prints the first API key, once"""
    return service.run()


def demo(_arguments: Sequence[str]) -> int:
    """as run, on sample domains with a name server of its own"""
    return service.demo()


def test(arguments: Sequence[str]) -> int:
    """the whole suite, on SQLite and on PostgreSQL; arguments go to pytest"""
    workers = min(4, max(2, os.cpu_count() or 2))
    parallel = ["-n", str(workers), "--dist", "loadfile"]
    return _first_failure([[program("pytest"), *parallel, *arguments]], environment.variables())


def check(_arguments: Sequence[str]) -> int:
    """formatter, linter and types"""
    steps = [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"]]
    commands = [[program(name), *rest] for name, *rest in steps]
    return _first_failure(commands, environment.variables())


def bench(arguments: Sequence[str]) -> int:
    """the measurements in bench/, or the one that is named"""
    files = (ROOT / "bench").glob("[!_]*.py")
    names = sorted(file.stem for file in files if "\ndef main(" in file.read_text())
    chosen, rest = names, list(arguments)
    if rest and not rest[0].startswith("-"):
        chosen = [rest.pop(0)]
        if chosen[0] not in names:
            raise DevError(f"there is no bench/{chosen[0]}.py; there is {', '.join(names)}")
    commands = [[str(PYTHON), "-m", f"bench.{name}", *rest] for name in chosen]
    return _first_failure(commands, environment.variables())


def drill(arguments: Sequence[str]) -> int:
    """break things on purpose, and see that nothing is lost"""
    command = [str(PYTHON), "-m", "tests.e2e.drill", *arguments]
    return _first_failure([command], environment.variables())


def shots(arguments: Sequence[str]) -> int:
    """pictures of a running ./dev demo into docs/shots: ADDRESS; asks for its password"""
    if len(arguments) != 1:
        raise DevError("give the address of ./dev demo; the command asks for its password")
    command = [str(PYTHON), "-m", "devtools.shots", *arguments]
    return _first_failure([command], environment.variables())


def migrate(_arguments: Sequence[str]) -> int:
    """bring the tables of DATABASE_URL up to date"""
    environment.prepare(LOCAL)
    return _call([[program("alembic"), "upgrade", "head"]], service.variables())


def flask(arguments: Sequence[str]) -> int:
    """an operator's command on the data of ./dev run, like `flask keys list`"""
    environment.prepare(LOCAL)
    return _call([[program("flask"), "--app", "wsgi", *arguments]], service.variables())


def lock(arguments: Sequence[str]) -> int:
    """compile requirements*.in into locks with hashes; --upgrade takes newer versions"""
    return supply.lock(arguments)


def audit(arguments: Sequence[str]) -> int:
    """look up the locked packages in the database of known vulnerabilities"""
    return supply.audit(arguments)


def sbom(arguments: Sequence[str]) -> int:
    """write a CycloneDX bill of materials of the run time: [FILE]"""
    return supply.sbom(arguments)


def _first_failure(commands: Sequence[Sequence[str]], variables: Mapping[str, str]) -> int:
    """Exit status of the first that fails, 0 if none does; DEVELOPMENT is installed."""
    environment.prepare(DEVELOPMENT)
    return _call(commands, variables)


def _call(commands: Sequence[Sequence[str]], variables: Mapping[str, str]) -> int:
    for command in commands:
        try:
            status = subprocess.run(command, env=variables, cwd=ROOT).returncode
        except FileNotFoundError:
            message = f"{command[0]} is missing; remove .venv, and the next command makes it anew"
            raise DevError(message) from None
        if status:
            say(f"{os.path.basename(command[0])} has failed (exit status {status})")
            return status
    return 0


def _explain(name: str, *, is_asked: bool) -> int:
    """What a command does that takes no arguments; whoever gave one is told so."""
    if is_asked:
        print(f"./dev {name}: {COMMANDS[name].__doc__}")
        return 0
    settings = "what can be set are variables, like PORT=8001, here or in .env"
    print(f"dev    | ./dev {name} takes no arguments: {settings}", file=sys.stderr)
    return 2


def _usage() -> str:
    lines = [f"  {name:8} {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: ./dev <command>", "", *lines])


COMMANDS: Mapping[str, Command] = {
    command.__name__: command
    for command in (run, demo, test, check, bench, drill, shots, migrate, flask, lock, audit, sbom)
}
ALONE = (run, demo, check, migrate)  # without arguments
