"""Which package may import which, and no cycles."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.architecture.source_tree import (
    imported_names,
    is_within,
    module_imports,
    module_of,
    modules,
    sources,
)

# Which of our packages each may import; "app.x" stands for everything below it.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "app.protocols": ("app.protocols",),
    "app.ports": ("app.ports", "app.protocols"),
    "app.catalog": ("app.catalog", "app.protocols"),
    "app.checks": ("app.checks", "app.ports", "app.protocols", "app.catalog"),
    "app.analysis": ("app.analysis", "app.checks", "app.protocols", "app.catalog"),
    "app.rules": ("app.rules", "app.checks", "app.analysis", "app.protocols"),
    "app.network": ("app.network", "app.ports", "app.protocols"),
    "app.standalone": (
        *("app.checks", "app.analysis.scan", "app.network", "app.ports", "app.protocols"),
        *("app.server_address", "app.wall_clock"),
    ),
    "app.channels": ("app.channels", "app.ports", "app.protocols"),
    "app.options": ("app.options", "app.errors", "app.protocols"),
    "app.mailboxes": (
        *("app.mailboxes", "app.options", "app.ports", "app.protocols"),
        "app.wall_clock",
    ),
    "app.sinks": (
        *("app.sinks", "app.options", "app.channels", "app.ports", "app.protocols"),
        "app.wall_clock",
    ),
    "app.db": ("app.db", "app.errors", "app.wall_clock"),
    "app.jobs": ("app.jobs", "app.wall_clock"),
    "app.metrics": ("app.metrics", "app.jobs.redis", "app.protocols.report_formats.deviations"),
    "app.models": (
        "app.models",
        "app.db",
        "app.ids",
        "app.checks.engine",
        "app.rules.engine",
        "app.protocols",
        "app.wall_clock",
    ),
    "app.keyring": ("app.settings",),
    "app.interpreter": (),
    "app.settings": ("app.settings", "app.listen_address", "app.server_address"),
    "app.limits": (
        *("app.limits", "app.errors", "app.jobs.redis"),
        *("app.protocols.quantities", "app.protocols.client_networks"),
        "app.wall_clock",
    ),
    "app.web_server": ("app.web_server", "app.logs"),
    "app.runtime": (
        *("app.db", "app.jobs", "app.logs", "app.metrics", "app.network", "app.settings"),
        "app.ports",
    ),
    "app.services": (
        *("app.services", "app.models", "app.rules", "app.checks", "app.analysis"),
        *("app.protocols", "app.db", "app.ids", "app.errors", "app.jobs", "app.settings"),
        *("app.channels", "app.mailboxes", "app.ports", "app.catalog", "app.keyring"),
        *("app.processes", "app.sinks", "app.metrics", "app.wall_clock"),
    ),
    "app.api": (
        *("app.api", "app.services", "app.models", "app.errors", "app.ids", "app.settings"),
        *("app.protocols", "app.checks", "app.analysis", "app.db", "app.jobs", "app.keyring"),
        *("app.limits", "app.metrics", "app.ports", "app.runtime", "app.wall_clock"),
    ),
    "app.web": (
        *("app.web", "app.services", "app.models", "app.errors", "app.ids", "app.settings"),
        *("app.protocols", "app.checks", "app.analysis", "app.db", "app.jobs", "app.keyring"),
        *(
            "app.limits",
            "app.ports",
            "app.runtime",
            "app.wall_clock",
        ),
        *("app.channels", "app.mailboxes", "app.sinks", "app.options"),
    ),
    "app.cli": (
        *("app.cli", "app.services", "app.models", "app.errors", "app.ids", "app.settings"),
        *("app.checks", "app.channels", "app.mailboxes", "app.ports", "app.protocols"),
        *("app.sinks", "app.options", "app.logs", "app.wall_clock"),
    ),
    "worker": (
        *("worker", "app.services", "app.jobs", "app.runtime", "app.settings", "app.logs"),
        *("app.errors", "app.protocols", "app.interpreter", "app.listen_address", "app.metrics"),
    ),
}

# Which packages of app.services each may import.
SERVICES: Mapping[str, tuple[str, ...]] = {
    "core": (),
    "rollups": ("core",),
    "record_log": (),
    "scheduling": (),
    "audit": ("core",),
    "emails": ("core", "audit"),
    "api_keys": ("core", "audit", "emails"),
    "sign_in": ("core", "audit", "emails"),
    "notifications": ("core", "audit", "emails", "record_log"),
    "alerts": ("core", "audit", "notifications"),
    "ingest": ("core", "audit", "scheduling"),
    "filing": ("core", "audit", "ingest", "rollups", "record_log", "scheduling"),
    "analytics": ("core", "audit", "rollups"),
    "accounts": ("core", "audit", "api_keys", "sign_in", "ingest"),
    "people": ("core", "audit", "emails", "api_keys", "sign_in", "accounts"),
    "reports": ("core", "audit", "analytics", "ingest", "filing"),
    "scans": ("core", "audit", "alerts", "filing", "record_log", "scheduling"),
    "mailboxes": ("core", "audit", "ingest"),
    "forwarding": ("core", "audit", "reports", "record_log"),
    "monitoring": (
        *("core", "audit", "emails", "alerts", "rollups", "analytics", "ingest", "mailboxes"),
        "api_keys",
    ),
    "domains": ("core", "audit", "alerts", "ingest", "filing", "scans"),
    "domain_status": ("core", "audit", "alerts", "rollups", "scans", "domains"),
    "weekly": (
        *("core", "audit", "emails", "notifications", "analytics", "sign_in"),
        "domain_status",
    ),
    "plans": ("core", "rollups", "analytics", "scans"),
    # Retention has a rule for the tables of every package.
    "operations": (
        *("core", "audit", "emails", "api_keys", "sign_in", "accounts"),
        *("rollups", "analytics", "ingest", "filing", "scans", "domains"),
    ),
}


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_imports_follow_the_table(path: Path) -> None:
    module = module_of(path)
    package = next((name for name in ALLOWED if is_within(module, (name,))), None)
    if package is None:
        return
    for name in imported_names(path):
        if is_within(name, ("app", "worker")) and name != "app":
            assert is_within(name, ALLOWED[package]), f"{module} imports {name}"


@pytest.mark.parametrize("path", sources("app/services"), ids=module_of)
def test_service_packages_import_only_what_the_table_allows(path: Path) -> None:
    parts = module_of(path).split(".")
    if len(parts) < 3:
        return
    own = parts[2]
    for name in module_imports(path):
        other = name.split(".")
        if other[:2] == ["app", "services"] and len(other) > 2 and other[2] != own:
            assert other[2] in SERVICES[own], f"{'.'.join(parts)} imports {name}"


def test_no_module_is_part_of_an_import_cycle() -> None:
    graph = {
        name: module_imports(path, is_load_time=True) - {name} for name, path in modules().items()
    }
    assert cycles(graph) == []


def test_no_package_is_part_of_an_import_cycle() -> None:
    """Within each package, its modules and the packages in it depend on each other in one order.

    A module may import the package that it is in: ``__init__`` declares what its modules share.
    """
    graphs: dict[str, dict[str, set[str]]] = {}
    for name, path in modules().items():
        for imported in module_imports(path) - {name}:
            package = common_package(name, imported)
            if package and package not in (name, imported):
                own, other = (child_of(package, module) for module in (name, imported))
                graphs.setdefault(package, {}).setdefault(own, set()).add(other)
    assert set(graphs) > {"app", "app.services", "app.protocols", "app.api", "app.web", "worker"}
    assert {package: cycles(graph) for package, graph in graphs.items() if cycles(graph)} == {}


def common_package(first: str, second: str) -> str:
    """The innermost package that both modules are in; "" if there is none."""
    parts = []
    for one, other in zip(first.split("."), second.split("."), strict=False):
        if one != other:
            break
        parts.append(one)
    return ".".join(parts)


def child_of(package: str, module: str) -> str:
    """The module or package directly in the package that has the module."""
    return module.removeprefix(f"{package}.").partition(".")[0]


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Each cycle that a depth-first search finds."""
    cycles: list[list[str]] = []
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            cycles.append(path[path.index(node) :])
            return
        if node in done:
            return
        for following in sorted(graph.get(node, ())):
            visit(following, [*path, node])
        done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return cycles


def test_a_cycle_would_be_seen() -> None:
    assert cycles({"a": ["b"], "b": ["c"], "c": ["a"]}) == [["a", "b", "c"]]


def test_the_application_does_not_import_the_worker() -> None:
    for path in sources("app"):
        assert not any(is_within(name, ("worker",)) for name in imported_names(path)), path


def test_api_and_web_do_not_import_each_other() -> None:
    for folder, other in (("app/api", "app.web"), ("app/web", "app.api")):
        for path in sources(folder):
            assert not any(is_within(name, (other,)) for name in imported_names(path)), path


def test_only_a_few_places_catch_every_exception() -> None:
    places = {
        module_of(path)
        for path in sources("app", "worker")
        if re.search(r"^\s*except Exception\b", path.read_text(), re.MULTILINE)
    }
    assert places <= CATCH_ALL, places - CATCH_ALL


CATCH_ALL = {  # one bad item must not stop the rest
    "app.checks.engine.execution",
    "app.checks.engine.proof",
    "app.services.rollups.rollup_queue",
    "app.services.core.batches",
    "app.services.filing.processor",
    "app.services.forwarding.attempts",
    "app.services.notifications.senders",
    "app.services.weekly.sending",
    "app.web_server.worker",
    "worker.clock",
}


@pytest.mark.parametrize("path", sources("tests"), ids=module_of)
def test_no_module_imports_a_test_module(path: Path) -> None:
    imported = {name for name in imported_names(path) if name.startswith("tests.")}
    parts = {part for name in imported for part in name.split(".")}
    assert not [part for part in parts if part.startswith("test_") or part == "conftest"]
