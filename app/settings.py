"""The settings of a process: read from the environment once, checked whole, never changed after."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from limits import parse as parse_limit
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app import setting_values
from app.listen_address import Listen, read_listen

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Seconds before each try of a delivery (Standard Webhooks 1.0): three days and three hours in all.
SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)

UPLOAD_FILES = 8  # report files in one upload from the dashboard


class BadSettings(ValueError):
    """What is missing or wrong, one sentence a setting."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field is one environment variable, in upper case; docs/operating.md explains each."""

    secret_key: str
    database_url: str
    redis_url: str
    secret_key_previous: tuple[str, ...] = ()
    api_key_secrets: tuple[str, ...] = ()
    encryption_secrets: tuple[str, ...] = ()
    csrf_secrets: tuple[str, ...] = ()
    cursor_secrets: tuple[str, ...] = ()
    base_url: str = "http://127.0.0.1:8000"
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: int = 0
    log_level: str = "info"

    rate_limit: str = "100 per minute"
    unauthenticated_rate_limit: str = "30 per minute"
    account_rate_limit: str = "1000 per minute"
    max_api_keys: int = 50
    concurrent_evaluations: int = 2
    concurrent_exports: int = 2
    dashboard_rate_limit: str = "300 per minute"
    dashboard_anonymous_rate_limit: str = "120 per minute"
    key_cache_seconds: float = 0.5
    max_content_length: int = 1024 * 1024
    request_head_seconds: float = 10.0
    request_body_seconds: float = 30.0

    allow_special_use_names: bool = False
    domain_verification: str = "required"
    max_domains: int = 10_000

    dns_nameservers: tuple[tuple[str, int], ...] = ()
    dns_query_seconds: float = 2.0
    scan_query_budget: int = 120
    scan_seconds: float = 60.0
    scan_concurrency: int = 64
    scan_chunk: int = 100
    scan_lease_seconds: timedelta = timedelta(seconds=60)
    scan_requeue_seconds: timedelta = timedelta(seconds=30)
    requeue_interval_seconds: float = 15.0

    ingest_rate_limit: str = "600 per minute"
    ingest_max_bytes: int = 10 * 1024 * 1024
    ingest_files_per_day: int = 50_000
    ingest_bytes_per_day: int = 2 * 1024**3
    ingest_cpu_seconds_per_day: int = 3_600
    ingest_source_rate_limit: str = "300 per minute"
    ingest_cpu_seconds: int = 30
    ingest_memory_bytes: int = 512 * 1024**2
    ingest_lease_seconds: timedelta = timedelta(seconds=60)
    parsed_retention_days: int = 7
    raw_retention_days: int = 30
    keep_junk_days: int = 3
    failure_report_retention_days: int = 30
    report_file_retention_days: int = 180
    unchanged_scan_retention_days: int = 30
    scan_retention_days: int = 400
    dns_change_retention_days: int = 1095
    alert_retention_days: int = 730
    audit_retention_days: int = 400
    key_usage_retention_days: int = 400
    api_key_retention_days: int = 400
    event_retention_days: int = 90
    delivery_retention_days: int = 30
    report_retention_days: int = 730
    trusted_authserv_ids: tuple[str, ...] = ()
    smtp_listen: Listen | None = None
    mailbox_poll_seconds: int = 300
    metrics_token: str | None = None
    security_contact: tuple[str, ...] = ()
    secret_scanning_keys_url: str | None = None
    egress_allow_cidrs: tuple[Network, ...] = ()
    egress_proxy: str | None = None
    geoip_database: str | None = None
    starttls_probes: bool = False
    check_authoritative_servers: bool = True
    egress_ports: tuple[int, ...] = (443,)
    smtp_url: str | None = None
    mail_from: str = "alerts@localhost.localdomain"

    delivery_schedule: tuple[float, ...] = SCHEDULE
    delivery_seconds: float = 15.0
    delivery_lease_seconds: timedelta = timedelta(seconds=15)
    delivery_sweep_seconds: float = 2.0

    @property
    def largest_body_bytes(self) -> int:
        """The largest request body that any page or route accepts."""
        return max(self.max_content_length, UPLOAD_FILES * self.ingest_max_bytes)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that ``environ`` holds.

        raises  BadSettings with one clear sentence for each that is missing or bad
        """
        complaints: list[str] = []
        values: dict[str, Any] = {}
        for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
            if not environ.get(name):
                complaints.append(f"{name} is missing: {_WHY_REQUIRED[name]}")
        for name, read in _READERS.items():
            if text := environ.get(name, "").strip():
                try:
                    values[name.lower()] = read(text)
                except ValueError as error:
                    complaints.append(f"{name} is not usable: {error}.")
        if complaints:
            raise BadSettings(complaints)
        return cls(**values)


_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make these the settings of this process; called once, by ``runtime.start``."""
    global _current
    _current = settings


def current() -> Settings:
    """The settings of this process."""
    if _current is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _current


_WHY_REQUIRED = {
    "SECRET_KEY": "set it to at least 32 random characters; it keys the digests of API keys.",
    "DATABASE_URL": "set it to postgresql://… (or sqlite:///… for one machine).",
    "REDIS_URL": "set it to redis://…; the queue and the rate limit live there.",
}


def _secret(text: str) -> str:
    if len(text) < 32:
        raise ValueError("it must have at least 32 characters")
    return text


def database_url(text: str) -> str:
    """The URL as SQLAlchemy wants it; a platform's postgres:// means psycopg 3 too."""
    text = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", text)
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("it is no database URL") from None
    if url.drivername not in ("postgresql+psycopg", "sqlite"):
        raise ValueError("only postgresql:// and sqlite:/// are supported")
    return text


def _redis_url(text: str) -> str:
    if not re.match(r"^(rediss?|unix)://", text):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    return text


def _http_url(text: str) -> str:
    if not re.match(r"^https?://[^\s/]+", text):
        raise ValueError("it must begin with http:// or https://")
    return text.rstrip("/")


def _flag(text: str) -> bool:
    known = {"on": True, "1": True, "true": True, "yes": True}
    known |= {"off": False, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("it must be on or off")
    return known[text.lower()]


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("it must be a whole number")
    return int(text)


def _positive(text: str) -> int:
    if (count := _count(text)) < 1:
        raise ValueError("it must be at least 1")
    return count


def _size(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) == 0:
        raise ValueError("it must be a number of bytes above 0")
    return int(text)


def _token(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{16,}", text):
        raise ValueError("it must have at least 16 printable characters")
    return text


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise ValueError("it must be a number of seconds above 0")
    return float(text)


def _span(text: str) -> timedelta:
    return timedelta(seconds=_seconds(text))


def _limit(text: str) -> str:
    try:
        parse_limit(text)
    except ValueError:
        raise ValueError("it must read like '100 per minute'") from None
    return text


def _choice(*words: str) -> Any:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text.lower()

    return read


def _verification(text: str) -> str:
    return "off" if text.lower() in ("off", "0", "false", "no") else _choice("required")(text)


def _nameservers(text: str) -> tuple[tuple[str, int], ...]:
    """``host[:port],…``; an IPv6 address with a port is written ``[…]:port``."""
    found = []
    for item in text.split(","):
        match = re.fullmatch(r"\[?([0-9A-Fa-f:.]+?)\]?(?::([0-9]{1,5}))?", item.strip())
        if item.count(":") > 1 and not item.strip().startswith("["):
            match = re.fullmatch(r"([0-9A-Fa-f:.]+)()", item.strip())
        if not match:
            raise ValueError(f"'{item.strip()}' is no address[:port]")
        ipaddress.ip_address(match[1])
        found.append((match[1], int(match[2] or 53)))
    return tuple(found)


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return text


def _cidrs(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(item.strip()) for item in text.split(","))


def _secrets(text: str) -> tuple[str, ...]:
    return tuple(_secret(item.strip()) for item in text.split(","))


def _ports(text: str) -> tuple[int, ...]:
    ports = tuple(_positive(item.strip()) for item in text.split(","))
    if max(ports) > 65_535:
        raise ValueError("a port is at most 65535")
    return ports


def _names(text: str) -> tuple[str, ...]:
    names = tuple(item.strip().lower() for item in text.split(","))
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?", name) for name in names):
        raise ValueError("it must be names like mx.example.org, comma-separated")
    return names


def _hosts(text: str) -> tuple[str, ...]:
    return ("*",) if text == "*" else _names(text)


def _mail_url(text: str) -> str:
    if not re.match(r"^smtps?://[^/?#\s]*[^/?#\s@:]", text):
        raise ValueError("it must read like smtp://user:password@host:587")
    return text


def _mail_from(text: str) -> str:
    if not text.isprintable() or "@" not in text:
        raise ValueError("it must be an address, or read like Alerts <alerts@example.com>")
    return text


RETENTION_SETTINGS = tuple(name.upper() for name in Settings.__slots__ if name.endswith("_days"))
RATE_LIMITS = tuple(name.upper() for name in Settings.__slots__ if name.endswith("rate_limit"))
_READERS: Mapping[str, Any] = {
    "SECRET_KEY": _secret,
    "SECRET_KEY_PREVIOUS": _secrets,
    "API_KEY_SECRETS": _secrets,
    "ENCRYPTION_SECRETS": _secrets,
    "CSRF_SECRETS": _secrets,
    "CURSOR_SECRETS": _secrets,
    "DATABASE_URL": database_url,
    "REDIS_URL": _redis_url,
    "BASE_URL": _http_url,
    "ALLOWED_HOSTS": _hosts,
    "TRUSTED_PROXIES": _count,
    "LOG_LEVEL": _choice("debug", "info", "warning", "error"),
    **dict.fromkeys(RATE_LIMITS, _limit),
    "UNAUTHENTICATED_RATE_LIMIT": _limit,
    "MAX_API_KEYS": _positive,
    "CONCURRENT_EVALUATIONS": _positive,
    "CONCURRENT_EXPORTS": _positive,
    "KEY_CACHE_SECONDS": _seconds,
    "MAX_CONTENT_LENGTH": _positive,
    "REQUEST_HEAD_SECONDS": _seconds,
    "REQUEST_BODY_SECONDS": _seconds,
    "ALLOW_SPECIAL_USE_NAMES": _flag,
    "DOMAIN_VERIFICATION": _verification,
    "MAX_DOMAINS": _positive,
    "DNS_NAMESERVERS": _nameservers,
    "DNS_QUERY_SECONDS": _seconds,
    "SCAN_QUERY_BUDGET": _positive,
    "SCAN_SECONDS": _seconds,
    "SCAN_CONCURRENCY": _positive,
    "SCAN_CHUNK": _positive,
    "SCAN_LEASE_SECONDS": _span,
    "SCAN_REQUEUE_SECONDS": _span,
    "REQUEUE_INTERVAL_SECONDS": _seconds,
    "INGEST_MAX_BYTES": _positive,
    "INGEST_FILES_PER_DAY": _positive,
    "INGEST_BYTES_PER_DAY": _size,
    "INGEST_CPU_SECONDS_PER_DAY": _positive,
    "INGEST_CPU_SECONDS": _positive,
    "INGEST_MEMORY_BYTES": _size,
    "INGEST_LEASE_SECONDS": _span,
    **dict.fromkeys(RETENTION_SETTINGS, _positive),
    "TRUSTED_AUTHSERV_IDS": _names,
    "SMTP_LISTEN": read_listen,
    "MAILBOX_POLL_SECONDS": _positive,
    "METRICS_TOKEN": _token,
    "SECURITY_CONTACT": setting_values.contacts,
    "SECRET_SCANNING_KEYS_URL": setting_values.https_url,
    "EGRESS_ALLOW_CIDRS": _cidrs,
    "EGRESS_PROXY": _http_url,
    "GEOIP_DATABASE": _file,
    "STARTTLS_PROBES": _flag,
    "CHECK_AUTHORITATIVE_SERVERS": _flag,
    "EGRESS_PORTS": _ports,
    "SMTP_URL": _mail_url,
    "MAIL_FROM": _mail_from,
    "DELIVERY_SCHEDULE": setting_values.schedule,
    "DELIVERY_SECONDS": _seconds,
    "DELIVERY_LEASE_SECONDS": _span,
    "DELIVERY_SWEEP_SECONDS": _seconds,
}
