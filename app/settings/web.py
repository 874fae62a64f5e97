"""The settings of the API and the dashboard, and the limits of their clients."""

from pydantic import BaseModel

from app.settings.types import (
    AllowedHosts,
    Contacts,
    Count,
    HttpsUrl,
    HttpUrl,
    LogLevel,
    MetricsDomains,
    PositiveCount,
    RateLimit,
    Seconds,
    Token,
)


class WebSettings(BaseModel):
    """The settings of the API and the dashboard, and the limits of their clients."""

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

    # Public pages
    metrics_token: Token | None = None
    """The bearer token for `/metrics`; without it, the route is disabled."""
    metrics_domains: MetricsDomains = 0
    """For how many domains, of all accounts and the first ones first, `/metrics` has the score and
    the pass rate; 1,000 at most.
    """
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
