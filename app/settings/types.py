"""The types of settings: how the text of an environment variable becomes a checked value.

A list is written as one text, its items separated by commas.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from limits import parse as parse_limit
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app import server_address
from app.listen_address import Listen, read_listen

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def database_url(text: str) -> str:
    """Return the URL for SQLAlchemy; ``postgres://`` and ``postgresql://`` select psycopg 3.

    raises  ValueError
    """
    text = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", text)
    try:
        driver = make_url(text).drivername
    except ArgumentError:
        driver = ""
    if driver not in ("postgresql+psycopg", "sqlite"):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    return text


def _matching(pattern: str, message: str) -> AfterValidator:
    """Return a validator that accepts texts that match the whole pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


def _from_text(read: Callable[[str], object]) -> BeforeValidator:
    """Return a validator that reads text; other values are left to the type."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _duration(text: str) -> timedelta:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text.strip()) or not float(text):
        raise ValueError("must be a number of seconds above 0")
    return timedelta(seconds=float(text))


def _rate_limit(text: str) -> str:
    try:
        parse_limit(text)
    except ValueError:
        raise ValueError("must have the form '100 per minute'") from None
    return text


def _domain_verification(text: str) -> str:
    return "off" if text.lower() in ("off", "0", "false", "no") else text.lower()


def _name_server(text: str) -> tuple[str, int]:
    if (server := server_address.read(text, 53)) is None:
        message = f"must be addresses like 192.0.2.1:53 or [2001:db8::1]:53, not '{text}'"
        raise ValueError(message)
    return server


def _connection(text: str) -> tuple[str, str, int]:
    """Read ``host=address[:port]``."""
    host, _, address = text.partition("=")
    server = server_address.read(address.strip(), 443)
    if server is None or not re.fullmatch(_NAME, host.strip().lower()):
        message = f"must be hosts with addresses like api.example.org=192.0.2.1:8443, not '{text}'"
        raise ValueError(message)
    return host.strip().lower(), *server


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be networks like 192.0.2.0/24: {error}") from None


def _existing_file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("must be the path of a file")
    return text


def _existing_folder(text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError("must be the path of a folder")
    return str(Path(text).absolute())


def redis_url_with_tls(url: str, ca_file: str | None, is_verified: bool) -> str:
    """Return the URL of Redis with the options of its client for TLS in the query."""
    if not url.startswith("rediss://"):
        return url
    options = {} if is_verified else {"ssl_cert_reqs": "none"}
    if ca_file:
        options["ssl_ca_certs"] = ca_file
    parts = urlsplit(url)
    query = urlencode({**dict(parse_qsl(parts.query)), **options})
    return urlunsplit(parts._replace(query=query))


def _email_sender(text: str) -> str:
    if not text.isprintable() or "@" not in text:
        raise ValueError("must be an address, or have the form Alerts <alerts@example.com>")
    return text


def _contact(text: str) -> str:
    """Return a URI for security.txt; an email address becomes ``mailto:``."""
    uri = text if re.match(r"[a-z]+:", text) else f"mailto:{text}"
    is_address = re.fullmatch(r"mailto:[^@:/]+@[^@:/]+", uri)
    is_plain = uri.isascii() and uri.isprintable() and " " not in uri
    if not (is_address or re.match(r"https://[^/]|tel:\+[0-9]", uri)) or not is_plain:
        raise ValueError(f"must be email addresses, https:// or tel:+ URIs, not '{text}'")
    return uri


_NAME = r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?"
_NAME_MESSAGE = "must be host names like mx.example.org"
_SPLIT = _from_text(lambda text: [item.strip() for item in text.split(",")])
_LOWER = _from_text(str.lower)

Count = Annotated[int, Field(ge=0, lt=10**9)]
MetricsDomains = Annotated[int, Field(ge=0, le=1000)]
PositiveCount = Annotated[int, Field(ge=1, lt=10**9)]
ByteCount = Annotated[int, Field(ge=1, lt=10**15)]
Seconds = Annotated[float, Field(gt=0, lt=10**6, allow_inf_nan=False)]
Duration = Annotated[timedelta, _from_text(_duration)]
Schedule = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=10**6, allow_inf_nan=False)], ...], _SPLIT
]
RateLimit = Annotated[str, AfterValidator(_rate_limit)]

Secret = Annotated[str, StringConstraints(min_length=32)]
Secrets = Annotated[tuple[Secret, ...], _SPLIT]
Token = Annotated[
    str, _matching(r"[\x21-\x7e]{16,}", "must have at least 16 printable characters, and no spaces")
]

DatabaseUrl = Annotated[str, AfterValidator(database_url)]
RedisUrl = Annotated[
    str, _matching(r"(rediss?|unix)://.*", "must begin with redis://, rediss:// or unix://")
]
HttpUrl = Annotated[
    str,
    _matching(r"https?://[^\s/]+.*", "must begin with http:// or https://"),
    AfterValidator(lambda text: text.rstrip("/")),
]
HttpsUrl = Annotated[
    str,
    _matching(
        r"https://[a-z0-9.-]+(:[0-9]{1,5})?/[\x21\x22\x24-\x7e]*",
        "must have the form https://host/path",
    ),
]
SmtpUrl = Annotated[
    str,
    _matching(
        r"smtps?://[^/?#\s]*[^/?#\s@:].*", "must have the form smtp://user:password@host:587"
    ),
]

HostNames = Annotated[tuple[Annotated[str, _LOWER, _matching(_NAME, _NAME_MESSAGE)], ...], _SPLIT]
AllowedHosts = Annotated[
    tuple[Annotated[str, _LOWER, _matching(rf"\*|{_NAME}", _NAME_MESSAGE)], ...], _SPLIT
]
Port = Annotated[int, Field(ge=1, le=65_535)]
Ports = Annotated[tuple[Port, ...], _SPLIT]
NameServers = Annotated[
    tuple[Annotated[tuple[str, Port], _from_text(_name_server)], ...],
    _SPLIT,
]
Connections = Annotated[
    tuple[Annotated[tuple[str, str, Port], _from_text(_connection)], ...], _SPLIT
]
Networks = Annotated[tuple[Annotated[Network, _from_text(_network)], ...], _SPLIT]
SmtpListener = Annotated[Listen, _from_text(read_listen)]

LogLevel = Annotated[Literal["debug", "info", "warning", "error"], _LOWER]
DomainVerification = Annotated[Literal["required", "off"], _from_text(_domain_verification)]
ExistingFile = Annotated[str, AfterValidator(_existing_file)]
ExistingFolder = Annotated[str, AfterValidator(_existing_folder)]
EmailSender = Annotated[str, AfterValidator(_email_sender)]
Contacts = Annotated[tuple[Annotated[str, AfterValidator(_contact)], ...], _SPLIT]
