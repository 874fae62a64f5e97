"""The settings of domains and their scans."""

from datetime import timedelta

from pydantic import BaseModel

from app.settings.types import (
    DomainVerification,
    Duration,
    NameServers,
    PositiveCount,
    Seconds,
)


class ScanSettings(BaseModel):
    """The settings of domains and their scans."""

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
    scan_outstanding_queries: PositiveCount = 480
    """Maximum number of queries of one job that a resolver has not answered yet.
    A job starts with at most 240, and sends fewer queries while the resolver fails.
    """
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
