"""The settings of outgoing connections and notifications."""

from datetime import timedelta

from pydantic import BaseModel

from app.settings.types import (
    Connections,
    Duration,
    EmailSender,
    ExistingFile,
    HttpUrl,
    Networks,
    Ports,
    Schedule,
    Seconds,
    SmtpUrl,
)

# Seconds before each attempt of a delivery (Standard Webhooks 1.0): three days and three hours.
SCHEDULE = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)


class OutgoingSettings(BaseModel):
    """The settings of outgoing connections and notifications."""

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
