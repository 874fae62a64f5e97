"""The commands of ./dev."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from devtools import ROOT, CommandError, environment, service, supply
from devtools import release as releases
from devtools.environment import DEVELOPMENT, LOCAL, PYTHON, program, say

UNIT_TESTS = ROOT / "tests" / "unit"
QUICK = ("-q", "--hypothesis-profile", "quick")
OF_OTHER_TESTS = ("schemathesis", "anyio", "valkey")  # pytest plugins that take long to import

Command = Callable[[Sequence[str]], int]
HELP = ("help", "-h", "--help")


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, and return its exit status; 2 if there is none."""
    name, rest = (arguments[0] if arguments else ""), arguments[1:]
    if name not in COMMANDS:
        print(_usage(), file=sys.stdout if name in HELP else sys.stderr)
        return 0 if name in HELP else 2
    command = COMMANDS[name]
    if rest and command in WITHOUT_ARGUMENTS:
        return _explain(name, is_help=rest[0] in HELP)
    try:
        return command(rest)
    except CommandError as error:
        print(f"dev    | {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(_arguments: Sequence[str]) -> int:
    """start the service on http://127.0.0.1:8000; prints the credentials on the first start"""
    return service.run()


def demo(_arguments: Sequence[str]) -> int:
    """start the service with sample domains and its own name server"""
    return service.demo()


def test(arguments: Sequence[str]) -> int:
    """run the tests on SQLite and PostgreSQL; `unit`: fast tests only; takes pytest arguments"""
    if arguments[:1] == ["unit"]:
        unused = [f"-pno:{plugin}" for plugin in OF_OTHER_TESTS]
        arguments = [*QUICK, *unused, str(UNIT_TESTS), *arguments[1:]]
    command = [program("pytest"), *_parallel(), *arguments]
    return _first_failure([command], environment.variables())


def coverage(arguments: Sequence[str]) -> int:
    """run the tests, and print the line and branch coverage; takes pytest arguments"""
    tool = program("coverage")
    commands = [
        [tool, "erase"],
        [tool, "run", "-m", "pytest", *_parallel(), *arguments],
        [tool, "combine", "--quiet"],
        [tool, "report"],
    ]
    return _first_failure(commands, environment.variables())


def _parallel() -> list[str]:
    workers = min(4, max(2, os.cpu_count() or 2))
    return ["-n", str(workers), "--dist", "loadfile"]


def check(_arguments: Sequence[str]) -> int:
    """check formatting, lint rules and types"""
    steps = [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"]]
    commands = [[program(name), *rest] for name, *rest in steps]
    return _first_failure(commands, environment.variables())


def bench(arguments: Sequence[str]) -> int:
    """run all benchmarks, or only the named one"""
    files = (ROOT / "bench").glob("[!_]*.py")
    names = sorted(file.stem for file in files if "\ndef main(" in file.read_text())
    chosen, rest = names, list(arguments)
    if rest and not rest[0].startswith("-"):
        chosen = [rest.pop(0)]
        if chosen[0] not in names:
            raise CommandError(f"unknown benchmark {chosen[0]}; available: {', '.join(names)}")
    commands = [[str(PYTHON), "-m", f"bench.{name}", *rest] for name in chosen]
    return _first_failure(commands, environment.variables())


def drill(arguments: Sequence[str]) -> int:
    """run fault-injection tests against a real service"""
    command = [str(PYTHON), "-m", "tests.e2e.drill", *arguments]
    return _first_failure([command], environment.variables())


def shots(arguments: Sequence[str]) -> int:
    """take the screenshots in docs/shots from the running ./dev demo at ADDRESS"""
    if len(arguments) != 1:
        raise CommandError("./dev shots takes one argument: the address of a running ./dev demo")
    command = [str(PYTHON), "-m", "devtools.shots", *arguments]
    return _first_failure([command], environment.variables())


def migrate(_arguments: Sequence[str]) -> int:
    """apply the migrations to DATABASE_URL"""
    environment.prepare(LOCAL)
    return _call([[program("alembic"), "upgrade", "head"]], service.variables())


def flask(arguments: Sequence[str]) -> int:
    """run an operator command on the data of ./dev run, or with --demo of ./dev demo"""
    environment.prepare(LOCAL)
    is_demo = arguments[:1] == ["--demo"]
    command = [program("flask"), "--app", "wsgi", *(arguments[1:] if is_demo else arguments)]
    return _call([command], service.variables(is_demo=is_demo))


def docs(_arguments: Sequence[str]) -> int:
    """write the tables of settings and findings in docs/ from the code"""
    modules = ("devtools.settings_table", "devtools.finding_tables", "devtools.record_tables")
    commands = [[str(PYTHON), "-m", module] for module in modules]
    return _first_failure(commands, environment.variables())


def lock(arguments: Sequence[str]) -> int:
    """compile requirements*.in into locks with hashes; --upgrade allows newer versions"""
    return supply.lock(arguments)


def audit(arguments: Sequence[str]) -> int:
    """check the locked packages for known vulnerabilities"""
    return supply.audit(arguments)


def sbom(arguments: Sequence[str]) -> int:
    """write a CycloneDX bill of materials of the runtime packages to FILE"""
    return supply.sbom(arguments)


def release(arguments: Sequence[str]) -> int:
    """set VERSION, date its changelog section, commit and tag"""
    return releases.release(arguments)


def _first_failure(commands: Sequence[Sequence[str]], variables: Mapping[str, str]) -> int:
    """Run the commands in the development environment; return the first exit status but 0."""
    environment.prepare(DEVELOPMENT)
    return _call(commands, variables)


def _call(commands: Sequence[Sequence[str]], variables: Mapping[str, str]) -> int:
    for command in commands:
        try:
            status = subprocess.run(command, env=variables, cwd=ROOT).returncode
        except FileNotFoundError:
            message = (
                f"{command[0]} is missing; remove .venv, and the next command creates it again"
            )
            raise CommandError(message) from None
        if status:
            say(f"{os.path.basename(command[0])} failed (exit status {status})")
            return status
    return 0


def _explain(name: str, *, is_help: bool) -> int:
    """Explain a command that takes no arguments; return 2 if it was called with one."""
    if is_help:
        print(f"./dev {name}: {COMMANDS[name].__doc__}")
        return 0
    settings = "set variables like PORT=8001 in the environment or in .env"
    print(f"dev    | ./dev {name} takes no arguments: {settings}", file=sys.stderr)
    return 2


def _usage() -> str:
    lines = [f"  {name:8} {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: ./dev <command>", "", *lines])


COMMANDS: Mapping[str, Command] = {
    command.__name__: command
    for command in (
        *(run, demo, test, coverage, check, bench, drill, shots, migrate, flask),
        *(docs, lock, audit, sbom, release),
    )
}
WITHOUT_ARGUMENTS = (run, demo, check, docs, migrate)
