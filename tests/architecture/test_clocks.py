"""The time of day is read in two places; everything else asks them, or has ``now`` as a parameter.

A value that is computed from two clocks is wrong at the edge of an hour or a day, and code with a
clock of its own cannot be tested there.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.architecture.source_tree import imported_names, module_of, sources, tree

CLOCKS = ("app.wall_clock", "app.db.transactions")
EXCEPTIONS = {
    "clients.python.src.mailwatch.retries": "a library of its own, which cannot import app",
}
SERVICES = {
    "app.services.api_keys.callers": "a cached key expires without a query",
    "app.services.api_keys.usage": "calls are counted in memory, by the day of this process",
    "app.services.domains.dane_evaluation": "it evaluates DNS without a transaction",
    "app.services.filing.processor": "files are parsed outside transactions",
}
READS = {
    "time": {
        *("time", "time_ns", "clock_gettime", "clock_gettime_ns"),
        *("localtime", "gmtime", "ctime", "asctime"),
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "func": {"now", "current_timestamp", "current_date", "clock_timestamp"},
    "utils": {"localtime", "formatdate"},  # email.utils
}
SQL = re.compile(
    r"(?<![.\w])(clock_timestamp|statement_timestamp|transaction_timestamp|now)\(\)"
    r"|\bCURRENT_(TIMESTAMP|DATE)\b|\b(datetime|date|unixepoch)\('now'",
    re.IGNORECASE,
)


def allowed(module: str) -> bool:
    return module in CLOCKS or module in EXCEPTIONS


@pytest.mark.parametrize("path", sources("app", "worker", "clients"), ids=module_of)
def test_only_the_two_clocks_read_the_time_of_day(path: Path) -> None:
    reads = list(clock_reads(tree(path)))
    assert bool(reads) == allowed(module_of(path)), reads


def test_services_with_a_transaction_ask_the_database_for_the_time() -> None:
    modules = [
        module_of(path)
        for path in sources("app/services")
        if "app.wall_clock" in set(imported_names(path))
    ]
    assert modules == sorted(SERVICES)


def test_every_way_to_read_the_time_of_day_is_found() -> None:
    module = ast.parse(
        "import time as t, datetime as dt\n"
        "from datetime import datetime, date as day\n"
        "from time import time_ns\n"
        "a = t.time()\n"
        "b = dt.datetime.now(UTC)\n"
        "c = field(default_factory=day.today)\n"
        "d = func.now()\n"
        "e = text('SELECT clock_timestamp()')\n"
        "f = text('UPDATE t SET at = CURRENT_TIMESTAMP')\n"
        "g = t.monotonic(), transactions.now(session), 'The clock knows what is now'\n"
    )
    assert [line for line, _ in clock_reads(module)] == [3, 4, 5, 6, 7, 8, 9]


def clock_reads(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each read of the time of day, in the order of the file."""
    names = aliases(module)
    documentation = docstrings(module)
    reads = []
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in READS.get(owner(node, names), ()):
            reads.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] in READS:
            called = READS[(node.module or "").split(".")[-1]]
            reads += [(node.lineno, item.name) for item in node.names if item.name in called]
        elif is_text(node) and node not in documentation and SQL.search(str(node.value)):
            reads.append((node.lineno, str(node.value)))
    yield from sorted(reads)


def is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def owner(node: ast.Attribute, names: dict[str, str]) -> str:
    """The imported name of the module or class of an attribute."""
    value = node.value
    if isinstance(value, ast.Attribute):
        return value.attr
    return names.get(value.id, value.id) if isinstance(value, ast.Name) else ""


def aliases(module: ast.Module) -> dict[str, str]:
    """The original of each name that the module imports under another one."""
    return {
        item.asname: item.name.rpartition(".")[2]
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for item in node.names
        if item.asname
    }


def docstrings(module: ast.Module) -> set[ast.expr]:
    """The constants that are the documentation of a module, class or function."""
    return {
        node.body[0].value
        for node in ast.walk(module)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if node.body and isinstance(node.body[0], ast.Expr)
    }
