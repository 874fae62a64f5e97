"""The settings of report files and the ways in which they arrive."""

from datetime import timedelta

from pydantic import BaseModel

from app.settings.types import (
    ByteCount,
    Duration,
    ExistingFolder,
    HostNames,
    PositiveCount,
    RateLimit,
    SmtpListener,
)


class ReportSettings(BaseModel):
    """The settings of report files and the ways in which they arrive."""

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
