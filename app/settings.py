"""The settings of a process: read from the environment once, checked together, never changed.

The docstring of a field is its description in the table of docs/operating.md, which
``python -m devtools.settings_table`` writes.
"""

from datetime import timedelta
from typing import Any, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app import setting_messages
from app.setting_files import FileSource
from app.setting_types import (
    AllowedHosts,
    ByteCount,
    Connections,
    Contacts,
    Count,
    DatabaseUrl,
    DomainVerification,
    Duration,
    EmailSender,
    ExistingFile,
    ExistingFolder,
    HostNames,
    HttpsUrl,
    HttpUrl,
    LogLevel,
    NameServers,
    Networks,
    Ports,
    PositiveCount,
    RateLimit,
    RedisUrl,
    Schedule,
    Seconds,
    Secret,
    Secrets,
    SmtpListener,
    SmtpUrl,
    Token,
    redis_url_with_tls,
)

# Seconds before each attempt of a delivery (Standard Webhooks 1.0): three days and three hours.
SCHEDULE = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)

UPLOAD_FILES = 8  # report files in one upload from the dashboard


class InvalidSettings(ValueError):
    """Settings are missing or invalid; the text has one line for each."""


class Settings(BaseSettings):
    """The settings; each field is the environment variable of the same name in upper case."""

    model_config = SettingsConfigDict(
        frozen=True,
        enable_decoding=False,  # lists are comma-separated, not JSON
        env_ignore_empty=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,  # a value may be a secret
    )

    # Secrets and connections
    secret_key: Secret
    """The secret that keys for digests, encryption and signatures are derived from; at least 32
    characters.
    """
    database_url: DatabaseUrl
    """`postgresql://…` (`postgres://…` is the same), or `sqlite:////absolute/path.db`."""
    redis_url: RedisUrl
    """`redis://…`, `rediss://…` (TLS) or `unix://…`. See [Redis over TLS](#redis-over-tls)."""
    redis_ca_file: ExistingFile | None = None
    """Path of a PEM file with the certificate authorities of a `rediss://` server, if the system
    does not trust them.
    """
    redis_tls_verify: bool = True
    """`off`: accept every certificate of a `rediss://` server, so that TLS protects only from
    eavesdropping.
    """
    secret_key_previous: Secrets = ()
    """Former values, comma-separated, that are still accepted for existing data. See [Rotate
    SECRET_KEY](#rotate-secret_key).
    """
    api_key_secrets: Secrets = ()
    """Secrets for the digests of API keys and upload tokens, comma-separated, instead of a key
    derived from `SECRET_KEY`. The first one is used for new digests.
    """
    encryption_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the encryption of stored secrets (webhooks, mailboxes,
    two-factor authentication, queued emails).
    """
    csrf_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the CSRF tokens in forms."""
    cursor_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the cursors of lists."""

    # Web
    base_url: HttpUrl = "http://127.0.0.1:8000"
    """The address that clients use; links begin with it."""
    allowed_hosts: AllowedHosts = ()
    """Host names that requests may name, comma-separated, in addition to the host of `BASE_URL`,
    `localhost`, `127.0.0.1` and `::1`; `*` allows every host. Other requests get a 400.
    `/healthz`, `/readyz` and `/metrics` answer on every host, since health checks use addresses.
    """
    trusted_proxies: Count = 0
    """Number of reverse proxies that set `X-Forwarded-For`. A number that is too high lets clients
    forge their address.
    """
    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`. Logs are JSON lines on stdout."""

    # Limits of the API and the dashboard
    rate_limit: RateLimit = "100 per minute"
    """Calls with one API key, over all routes; a key can have its own limit."""
    unauthenticated_rate_limit: RateLimit = "30 per minute"
    """Calls without a valid key from one client: an IPv4 address, or the /64 of an IPv6 address."""
    account_rate_limit: RateLimit = "1000 per minute"
    """API requests of all keys of one account together. A key's own limit cannot be higher.
    `flask accounts limits` sets another value of this and the next three settings for one account.
    """
    max_api_keys: PositiveCount = 50
    """Maximum number of active API keys of one account."""
    concurrent_evaluations: PositiveCount = 2
    """Calls of `POST /v1/checks/evaluate` that one account may run at the same time; further
    calls get a 429.
    """
    concurrent_exports: PositiveCount = 2
    """CSV and NDJSON exports that one account may run at the same time, over the API and the
    dashboard.
    """
    dashboard_rate_limit: RateLimit = "300 per minute"
    """Dashboard requests of one signed-in person, over all sessions."""
    dashboard_anonymous_rate_limit: RateLimit = "120 per minute"
    """Dashboard requests without a session from one client network."""
    key_cache_seconds: Seconds = 0.5
    """Seconds that a process caches a valid key; a revoked key may be accepted for that long."""
    max_content_length: PositiveCount = 1024 * 1024
    """Maximum size of a request body in bytes; a larger one gets a 413."""
    request_head_seconds: Seconds = 10.0
    """Seconds that a client has to send the head of a request; after that it gets a 408 and the
    connection closes.
    """
    request_body_seconds: Seconds = 30.0
    """Seconds that a client has to send the body of a request. From the sixth second on, a body
    must also average 1 KiB a second.
    """

    # Domains
    allow_special_use_names: bool = False
    """Accept special-use domains like `example.com` and `.test` (RFC 6761). For tests and the
    demo; `./dev` turns it on.
    """
    domain_verification: DomainVerification = "required"
    """`off`: every domain counts as verified without proof. `./dev` turns it off."""
    max_domains: PositiveCount = 10_000
    """Maximum number of domains of one account."""

    # Scans
    dns_nameservers: NameServers = ()
    """The resolvers to query, `address[:port]`, comma-separated; an IPv6 address with a port is
    written `[…]:port`. The default is those of `/etc/resolv.conf`. Use a validating resolver in
    the same network.
    """
    dns_query_seconds: Seconds = 2.0
    """Seconds that a name server has to answer one query."""
    scan_query_budget: PositiveCount = 120
    """Maximum number of DNS queries of one scan; checks without an answer are undetermined."""
    scan_seconds: Seconds = 60.0
    """Maximum duration of one scan; checks that are not finished are undetermined."""
    scan_concurrency: PositiveCount = 64
    """Number of scans that one job runs at the same time."""
    scan_chunk: PositiveCount = 100
    """Number of scans in one job of a batch."""
    scan_lease_seconds: Duration = timedelta(seconds=60)
    """Seconds after which another worker takes over a scan; a running worker renews the lease."""
    scan_requeue_seconds: Duration = timedelta(seconds=30)
    """Seconds after which a queued scan that no worker has claimed is enqueued again."""
    requeue_interval_seconds: Seconds = 15.0
    """Seconds between two checks of the clock process for scans and files to enqueue again."""

    # Report files
    ingest_rate_limit: RateLimit = "600 per minute"
    """Reports posted to one report address without an upload token, and with one upload token;
    unknown addresses and bad tokens count as calls without a key.
    """
    ingest_max_bytes: PositiveCount = 10 * 1024 * 1024
    """Maximum size of a posted report in bytes; a larger one gets a 413."""
    ingest_files_per_day: PositiveCount = 50_000
    """Files of an account in a day (UTC); further ones get a 429. Unknown senders can use half of
    this number, and half of the bytes and the CPU time. The rest is for known reporters and the
    account's own uploads.
    """
    ingest_bytes_per_day: ByteCount = 2 * 1024**3
    """Bytes of an account's files in a day (UTC); files above this limit get a 429."""
    ingest_cpu_seconds_per_day: PositiveCount = 3_600
    """CPU seconds that parsing an account's files may take in a day (UTC). Files above it are
    rejected as `cpu_budget` and parsed on the next day.
    """
    ingest_source_rate_limit: RateLimit = "300 per minute"
    """Reports from one unknown sender (an IPv4 address or an IPv6 /64; for relayed mail the
    domain of the envelope sender) to one account.
    """
    ingest_cpu_seconds: PositiveCount = 30
    """Maximum CPU seconds for parsing one file. A small file may take less: 1 second, and 2 for
    each MiB. A file that takes longer is rejected as `timeout`.
    """
    ingest_memory_bytes: ByteCount = 512 * 1024**2
    """Bytes of memory for parsing one file; one that needs more is rejected as `too_large`."""
    ingest_lease_seconds: Duration = timedelta(seconds=60)
    """Seconds after which another worker takes over a file."""

    # Retention
    parsed_retention_days: PositiveCount = 7
    """Days that the bytes of parsed and duplicate files are stored."""
    raw_retention_days: PositiveCount = 30
    """Days that the bytes of other files are stored; until then they can be reprocessed."""
    junk_retention_days: PositiveCount = 3
    """Days that the bytes of a rejected or unattributed file of an unknown sender are stored.
    Its row is deleted after `RAW_RETENTION_DAYS`.
    """
    failure_report_retention_days: PositiveCount = 30
    """Days that failure reports are stored."""
    report_file_retention_days: PositiveCount = 180
    """Days that the row of a file without a stored report is kept. The row of a file with a
    report is kept as long as the report.
    """
    unchanged_scan_retention_days: PositiveCount = 30
    """Days that all scans are kept. After that, of the scans without a changed record, verdict or
    alert, only the first and the last of each domain are kept. See [Retention](#retention).
    """
    scan_retention_days: PositiveCount = 400
    """Days that the other scans are kept; the last scan of each domain is always kept."""
    dns_change_retention_days: PositiveCount = 1095
    """Days that changes of DNS records are kept."""
    alert_retention_days: PositiveCount = 730
    """Days that resolved alerts are kept, with their history."""
    audit_retention_days: PositiveCount = 400
    """Days that entries of the audit log are kept."""
    key_usage_retention_days: PositiveCount = 400
    """Days that the daily usage of API keys is kept."""
    api_key_retention_days: PositiveCount = 400
    """Days that revoked and expired API keys and report addresses are kept in the lists."""
    event_retention_days: PositiveCount = 90
    """Days that events can be read again from `GET /v1/events`."""
    delivery_retention_days: PositiveCount = 30
    """Days that finished deliveries are kept, and that dead ones can be replayed."""
    report_retention_days: PositiveCount = 730
    """Days after the end of their period that aggregate and TLS reports are kept, with their
    records and their part of the analytics.
    """

    # Email reception
    trusted_authserv_ids: HostNames = ()
    """The mail servers in front of `SMTP_LISTEN`, comma-separated, each by the name that it
    puts first in `Authentication-Results`. The topmost field with that name, in an email that the
    listener receives, proves the author. It has no effect on files that arrive in any other way;
    for a mailbox, use `flask mailboxes trust-server`. Your servers must remove fields in which
    others use their name (RFC 8601 §5), and no other host may be able to connect to the listener.
    Valid DKIM signatures prove the author with and without this setting.
    """
    smtp_listen: SmtpListener | None = None
    """The address that `python -m worker lmtp` receives emails on: `lmtp:///run/reports.sock` (LMTP
    on a Unix socket), `lmtp://127.0.0.1:2424` or `smtp://127.0.0.1:2525`. Put a mail server in
    front of it: the listener has no TLS and no spam filter. It does not start if another process
    uses the address (exit status 2); an abandoned socket file is replaced.
    """
    mailbox_poll_seconds: PositiveCount = 300
    """Seconds between two polls of a [mailbox](#mailboxes).
    Imported mails are marked as seen, or moved; mails above 25 MiB are left in place.
    """
    mailbox_folder_root: ExistingFolder | None = None
    """The folder on the machine of the worker below which `flask mailboxes add --type folder` may
    read [folders](#folders); without it, no folder can be read.
    """

    # Public pages
    metrics_token: Token | None = None
    """The bearer token for `/metrics`; without it, the route is disabled."""
    security_contact: Contacts = ()
    """Where to report vulnerabilities: email addresses, `https://` pages or `tel:+…`,
    comma-separated, the preferred one first. Served at `/.well-known/security.txt` (RFC 9116),
    which does not exist without it.
    """
    secret_scanning_keys_url: HttpsUrl | None = None
    """The public keys of a secret scanning service,
    `https://api.github.com/meta/public_keys/secret_scanning` for GitHub. Without it `POST
    /v1/secret-scanning/alerts` does not exist.
    """

    # Outgoing connections
    egress_allow_cidrs: Networks = ()
    """Networks, comma-separated, that are allowed for fetching policies, sending webhooks, polling
    the mailboxes of accounts and forwarding records although they are not public.
    """
    egress_proxy: HttpUrl | None = None
    """`http://host:port` of a proxy for HTTPS: fetching policies, sending webhooks and records."""
    egress_connect_to: Connections = ()
    """For tests: `host=address:port`, comma-separated. HTTPS requests to these hosts go to this
    address, whatever DNS says; the certificate must still have the name of the host.
    """
    geoip_database: ExistingFile | None = None
    """Path of an MMDB file with networks (ASN) or countries, which are then shown for sources."""
    profiles_file: ExistingFile | None = None
    """Path of a TOML file with compliance profiles of your own; see
    [profiles](profiles.md#profiles-of-your-own).
    """
    starttls_probes: bool = False
    """`on`: connect to port 25 of each MX host once a day to check its TLS. These connections
    do not use `EGRESS_PROXY`.
    """
    check_authoritative_servers: bool = True
    """Query the name servers of each zone directly to check that they agree, over UDP port 53
    of their public addresses. Set `off` if only the resolver is reachable, so that scans do not
    wait a second for the timeout.
    """
    egress_ports: Ports = (443,)
    """Ports, comma-separated, that webhook URLs can use."""

    # Notifications
    smtp_url: SmtpUrl | None = None
    """`smtp://user:password@host:587` of the outgoing mail server; `smtps://…` for implicit
    TLS. `?starttls=required`, `auto` or `off`: with a password, `required` is the default.
    Without this setting, email channels fail with an error message.
    """
    mail_from: EmailSender = "alerts@localhost.localdomain"
    """The sender of emails, like `Alerts <alerts@example.com>`."""
    delivery_schedule: Schedule = SCHEDULE
    """Seconds before each attempt of a delivery, ±20 %. After the last one the delivery is
    stored as dead for 30 days.
    """
    delivery_seconds: Seconds = 15.0
    """Seconds that a receiver has to respond."""
    delivery_lease_seconds: Duration = timedelta(seconds=15)
    """Seconds after which another worker takes over the deliveries of a channel; a running
    worker renews the lease. On the same machine, the channels of a killed worker are taken over
    immediately.
    """
    delivery_sweep_seconds: Seconds = 2.0
    """Seconds between two checks of the clock process for due deliveries."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from: the arguments, or the environment and files that it names.

        Settings that are made in code therefore do not depend on the environment.
        """
        return (init_settings,) if init_settings() else (env_settings, FileSource(settings_cls))

    @classmethod
    def load(cls) -> Self:
        """Return the settings of the environment.

        raises  InvalidSettings
        """
        try:
            return cls()
        except ValueError as error:  # also a ValidationError
            messages = setting_messages.of_error(error)
            raise InvalidSettings("\n".join(messages)) from None

    @property
    def redis_client_url(self) -> str:
        """The URL of Redis with the options of TLS; every client of this process uses it."""
        return redis_url_with_tls(self.redis_url, self.redis_ca_file, self.redis_tls_verify)

    @property
    def largest_body_bytes(self) -> int:
        """The largest request body that any page or route accepts."""
        return max(self.max_content_length, UPLOAD_FILES * self.ingest_max_bytes)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some fields."""
        return type(self)(**(dict(self) | changes))


_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make these the settings of this process; called once, by ``runtime.start``."""
    global _current
    _current = settings


def current() -> Settings:
    """Return the settings of this process."""
    if _current is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _current
