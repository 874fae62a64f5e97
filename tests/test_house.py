"""The house's own rules: who imports whom, how long things are, what is documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.http.endpoint import ENDPOINTS
from app.checks import CHECKS
from app.jobs import queue
from app.rules import RULES

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE, MAX_FUNCTION = 400, 40
FOLDERS = ("app", "worker", "migrations", "tests", "devtools", "demo", "bench")

# Which of our packages each may import; "app.x" stands for all below it.
ALLOWED: dict[str, tuple[str, ...]] = {
    "app.protocols": ("app.protocols",),
    # Which names are a well-known service's is one table, for what DNS says and what reports say.
    "app.checks": ("app.checks", "app.protocols", "app.catalog.senders"),
    # Rules on reports judge what insight makes of them.
    "app.rules": ("app.rules", "app.checks", "app.analysis", "app.protocols"),
    "app.analysis": ("app.analysis", "app.checks", "app.protocols"),
    "app.channels": (
        *("app.channels", "app.ports.dns", "app.protocols", "app.network.http.egress"),
        "app.network.http.special_addresses",
    ),
    "app.models": (
        *("app.models", "app.db", "app.ids", "app.checks.engine.types", "app.rules.engine.types"),
        "app.protocols",
    ),
    "app.services": (
        *("app.services", "app.models", "app.rules", "app.checks", "app.analysis"),
        *("app.protocols", "app.db", "app.ids", "app.errors", "app.jobs.queue", "app.settings"),
        "app.keyring",
        *("app.channels", "app.mailboxes", "app.processes", "app.db.prepared"),
    ),
    "app.db": ("app.errors", "app.db.errors"),
    "app.db.errors": (),
    "app.keyring": ("app.settings",),
    "app.db.prepared": ("app.db",),
    "app.jobs.queue": ("app.jobs.redis",),
    "app.jobs.redis": (),
    "app.rate_limiter": ("app.errors", "app.jobs.redis"),
    "app.concurrency": ("app.errors", "app.jobs.redis"),
    "app.errors": (),
    "app.ids": (),
    "app.processes": (),
    "app.logs": (),
    "app.interpreter": (),
    "app.settings": ("app.listen_address", "app.setting_values"),
    "app.listen_address": (),
    "app.setting_values": (),
    "app.network": ("app.network", "app.ports.dns", "app.protocols", "app.settings"),
    "app.runtime": (
        "app.db",
        "app.jobs.queue",
        "app.logs",
        "app.network",
        "app.settings",
        "app.checks",
    ),
    "app.api": (
        *("app.api", "app.services", "app.models", "app.errors", "app.protocols"),
        *("app.checks", "app.analysis", "app.ids", "app.settings", "app.db", "app.jobs.queue"),
        *("app.jobs.redis", "app.rate_limiter", "app.concurrency", "app.keyring"),
    ),
    "app.web": (
        "app.keyring",
        *("app.web", "app.services", "app.models", "app.errors", "app.protocols"),
        *("app.checks", "app.analysis", "app.ids", "app.settings", "app.db", "app.jobs.redis"),
        *("app.rate_limiter", "app.concurrency"),
    ),
    "app.web_server": ("app.web_server",),
    "app.mailboxes": ("app.mailboxes", "app.protocols"),
    "app.cli": (
        *(
            "app.cli",
            "app.checks.engine.types",
            "app.services",
            "app.models",
            "app.errors",
            "app.ids",
            "app.settings",
        ),
        "app.mailboxes",
    ),
    "worker": (
        *("worker", "app.services", "app.jobs.queue", "app.runtime", "app.settings", "app.logs"),
        "app.listen_address",
        *("app.errors", "app.interpreter", "app.protocols.report_formats.limits"),
    ),
}
THIRD_PARTY = {  # which may import each of these
    "flask": ("app.api", "app.web", "app.cli", "app.rate_limiter", "app"),
    "flask_limiter": ("app.rate_limiter",),
    "pydantic": ("app.api",),
    "sqlalchemy": (
        *("app.db", "app.db.errors", "app.db.prepared", "app.models", "app.services"),
        "app.settings",
    ),
    "rq": ("app.jobs.queue", "worker"),
    "redis": (
        *("app.jobs.redis", "app.jobs.queue", "app.rate_limiter", "app.concurrency"),
        *("app.api.v1.token_leaks.report_limit", "app.web.base.login_throttle", "worker"),
    ),
    "dns": ("app.network",),
    "publicsuffixlist": ("app.protocols.public_suffix",),
    "idna": ("app.protocols.names",),
    "aiosmtpd": ("worker.smtp_receiver",),
    "dkim": ("app.protocols.dkim.verification",),
    "maxminddb": ("app.services.analytics.sender_hosts",),
    "cryptography": (
        *("app.keyring", "app.services.core.encryption", "app.services.monitoring.secret_scanning"),
        "app.protocols.bimi.mark_certificates",
    ),
    "argon2": ("app.services.accounts.passwords",),
    "segno": ("app.web.views.security",),
    "gunicorn": ("app.web_server",),
}


UNWRAPPING = (  # what a stranger's octet can make large, and where it may be used
    *("bz2", "gzip", "lzma", "shutil.unpack_archive", "tarfile", "zipfile", "zlib.decompress"),
    *("zlib.decompressobj", "xml.dom", "xml.etree", "xml.sax", "xmlrpc", "lxml"),
    *("email.message_from_bytes", "email.message_from_string", "email.parser", "pickle"),
)
# The export of an account only writes an archive.
UNWRAPPERS = (
    *("app.protocols.report_formats.unwrap", "app.protocols.bimi.logo"),
    "app.services.accounts.export",
)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module, or name in one, that the file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    module = module_of(path)
    package = next((name for name in ALLOWED if is_within(module, (name,))), None)
    for name in imports(path):
        if package and is_within(name, ("app", "worker")) and name != "app":
            assert is_within(name, ALLOWED[package]), f"{module} imports {name}"
        if allowed := THIRD_PARTY.get(name.partition(".")[0]):
            assert module == "app" or is_within(module, tuple(a for a in allowed if a != "app")), (
                f"{module} imports {name}"
            )


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_only_the_unwrappers_inflate(path: Path) -> None:
    if module_of(path) not in UNWRAPPERS:
        text = path.read_text()
        assert not any(is_within(name, UNWRAPPING) for name in imports(path)), path
        assert not re.search(r"\bzlib\.decompress", text), path


def test_the_application_does_not_know_the_worker() -> None:
    for path in sources("app"):
        assert not any(is_within(name, ("worker",)) for name in imports(path)), path


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=module_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            is_migration = "migrations" in path.parts
            assert length <= MAX_FUNCTION or is_migration, f"{node.name} has {length} lines"


def test_every_module_says_what_it_knows() -> None:
    for path in sources("app", "worker", "devtools", "demo"):
        text = path.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)), path


def test_only_a_few_places_catch_everything() -> None:
    places = {
        module_of(path)
        for path in sources("app", "worker")
        if re.search(r"^\s*except Exception\b", path.read_text(), re.MULTILINE)
    }
    assert places <= {
        "app.web_server.worker",
        "app.checks.engine.types",
        "app.services.analytics.rollup_queue",
        "app.services.scans.results",
        "app.services.ingest.processor",
        "worker.clock",
        "app.services.notifications.senders",
    }


def test_codes_are_unique_and_begin_with_their_check() -> None:
    codes = [kind.code for check in CHECKS for kind in check.finds]
    assert len(codes) == len(set(codes))
    for check in CHECKS:
        for kind in check.finds:
            assert re.fullmatch(rf"{check.name}\.[a-z0-9_]+", kind.code), kind.code


def test_a_type_of_alert_has_one_rule() -> None:
    types = [type for rule in RULES for type in rule.types]
    assert len(types) == len(set(types))


def test_every_queue_has_a_job_and_every_job_a_function() -> None:
    from worker import jobs

    text = (ROOT / "app" / "queue.py").read_text()
    rung = set(re.findall(r'"(worker\.jobs\.\w+)"', text))
    assert rung == set(jobs.JOBS)
    assert queue.QUEUES == (queue.SCANS, queue.INTAKE, queue.DELIVERY)


def test_every_view_has_a_summary() -> None:
    assert all(contract.summary for contract in ENDPOINTS.values())
