"""Libraries and unpacking are used only in the allowed modules."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.source_tree import imported_names, is_within, module_of, sources

ALLOWED: Mapping[str, tuple[str, ...]] = {  # which modules may import each library
    "flask": ("app.api", "app.web", "app.cli", "app.limits.rate_limiter"),
    "flask_limiter": ("app.limits.rate_limiter",),
    "pydantic": (
        "app.api",
        "app.web.views.undo",
        "app.settings",
        "app.settings.files",
        "app.settings.types",
        "app.settings.messages",
    ),
    "pydantic_settings": ("app.settings", "app.settings.files"),
    "sqlalchemy": ("app.db", "app.models", "app.services", "app.settings.types", "app.runtime"),
    "rq": ("app.jobs.queue", "worker"),
    "redis": ("app.jobs", "app.limits.shared_counters", "app.metrics.increments", "worker"),
    "dns": ("app.network",),
    "publicsuffixlist": ("app.protocols.public_suffix",),
    "idna": ("app.protocols.names",),
    "wtforms": ("app.web",),
    "h11": ("app.network.http.http1",),
    "imapclient": ("app.mailboxes.imap",),
    "imaplib": (),
    "poplib": (),
    "boto3": (),
    "botocore": (),
    "aiosmtpd": ("worker.smtp_receiver",),
    "dkim": ("app.protocols.dkim.verification",),
    "maxminddb": ("app.services.analytics.sender_hosts",),
    "OpenSSL": ("app.network.smtp", "app.protocols.transport.certificates"),
    "cryptography": (
        *(
            "app.keyring",
            "app.services.core.encryption",
            "app.protocols.bimi.mark_certificates",
            "app.protocols.transport.certificates",
        ),
        "app.services.monitoring.secret_scanning",
    ),
    "cachetools": ("app.services.core.caches",),
    "prometheus_client": ("app.api.metrics", "app.services.operations.metrics"),
    "pyotp": ("app.protocols.totp",),
    "argon2": ("app.services.sign_in.passwords",),
    "yaml": ("app.protocols.zone_files.yaml_nodes",),
    "segno": ("app.web.views.people.security",),
    "gunicorn": ("app.web_server",),
}
UNPACKING = (  # what lets a few untrusted bytes become many
    *("bz2", "gzip", "lzma", "shutil.unpack_archive", "tarfile", "zipfile", "zlib.decompress"),
    *("zlib.decompressobj", "xml.dom", "xml.etree", "xml.sax", "xmlrpc", "lxml"),
    *("email.message_from_bytes", "email.message_from_string", "email.parser", "pickle"),
)
# The export of an account only writes an archive.
UNPACKERS = (
    *("app.protocols.report_formats.containers.inflation", "app.protocols.bimi.logo"),
    "app.services.accounts.export",
)


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_libraries_are_used_in_their_modules_only(path: Path) -> None:
    module = module_of(path)
    for name in imported_names(path):
        if allowed := ALLOWED.get(name.partition(".")[0]):
            assert module == "app" or is_within(module, allowed), f"{module} imports {name}"


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_only_the_bounded_modules_unpack(path: Path) -> None:
    if module_of(path) not in UNPACKERS:
        assert not any(is_within(name, UNPACKING) for name in imported_names(path)), path
        assert not re.search(r"\bzlib\.decompress", path.read_text()), path
