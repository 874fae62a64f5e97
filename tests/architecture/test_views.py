"""Views and templates only rename and format what the services return."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from tests.architecture.source_tree import module_of, sources, tree
from tests.support.paths import ROOT

TEMPLATES = sorted((ROOT / "app" / "web" / "templates").rglob("*.html"))
ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow)
COMPUTING_FILTERS = {
    *("sum", "sort", "groupby", "min", "max", "unique", "batch"),
    *("map", "select", "reject", "selectattr", "rejectattr"),
}
COMPUTING_CALLS = {"sum", "sorted", "min", "max", "Counter", "most_common", "sort", "groupby"}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv)
VIEWS = [*sources("app/web/views"), *sources("app/api/v1")]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_call_no_methods_with_arguments(path: Path) -> None:
    calls = [
        f"line {call.lineno}: {call.node.attr}"
        for call in template(path).find_all(nodes.Call)
        if isinstance(call.node, nodes.Getattr) and (call.args or call.kwargs)
    ]
    assert calls == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_compute_nothing(path: Path) -> None:
    parsed = template(path)
    lines = [f"line {node.lineno}" for node in parsed.find_all(ARITHMETIC)]
    lines += [
        f"line {node.lineno}: {node.name}"
        for node in parsed.find_all(nodes.Filter)
        if node.name in COMPUTING_FILTERS
    ]
    assert lines == []


def template(path: Path) -> nodes.Template:
    """The syntax tree of a template."""
    return Environment(autoescape=True).parse(path.read_text())


@pytest.mark.parametrize("path", VIEWS, ids=module_of)
def test_views_compute_nothing_from_rows(path: Path) -> None:
    computing = {
        function.name
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef) and any(computations(function))
    }
    assert computing == set()


def computations(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Sums, orders and groups, and arithmetic with attributes of values."""
    for node in ast.walk(function):
        if (isinstance(node, ast.Call) and name_of(node.func) in COMPUTING_CALLS) or (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, OPERATORS)
            and any(isinstance(operand, ast.Attribute) for operand in (node.left, node.right))
        ):
            yield node


def name_of(function: ast.expr) -> str:
    """The name of a called function or method."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@pytest.mark.parametrize("path", VIEWS, ids=module_of)
def test_a_page_or_answer_is_one_service_call(path: Path) -> None:
    services = set(service_modules(path))
    functions = {
        node.name: node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)
    }
    several = {
        function.name
        for function in functions.values()
        if is_read(function)
        and sum(is_service_call(node, services) for node in executed(function, functions)) > 1
    }
    assert several == set()


@pytest.mark.parametrize("path", sources("app/web/views"), ids=module_of)
def test_a_form_is_answered_with_a_notice(path: Path) -> None:
    functions = {
        node.name: node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)
    }
    without_notice = {
        function.name
        for function in functions.values()
        if decorated_with(function, "post")
        and any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "redirect"
            for node in executed(function, functions)
        )
    }
    assert without_notice == set()


def executed(function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> Iterator[ast.AST]:
    """The nodes of a function, and of the functions of its module that it calls."""
    for node in ast.walk(function):
        yield node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = functions.get(node.func.id)
            if called is not None and called is not function:
                yield from executed(called, functions)


def service_modules(path: Path) -> Iterator[str]:
    """The names under which a module imports modules of services."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app.services."):
            yield from (
                alias.asname or alias.name
                for alias in node.names
                if alias.name.islower() and alias.name != "serialization"
            )


def is_read(function: ast.FunctionDef) -> bool:
    """Whether the function is a view of a GET route."""
    return decorated_with(function, "get")


def decorated_with(function: ast.FunctionDef, method: str) -> bool:
    """Whether the function is a view of a route with this method."""
    return any(
        isinstance(decorator, ast.Call) and name_of(decorator.func) == method
        for decorator in function.decorator_list
    )


def is_service_call(node: ast.AST, services: set[str]) -> bool:
    """Whether the node calls a function of a service module."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.islower()
        and not node.func.attr.endswith("as_json")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in services
    )
