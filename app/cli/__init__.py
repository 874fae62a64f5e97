"""The ``flask …`` commands for operators. Each command calls one service function."""

from collections.abc import Sequence
from typing import Any

import click
from flask import Flask

from app import ids, settings, wall_clock
from app.cli import accounts as account_commands
from app.cli import (
    channels,
    domains,
    export,
    reports,
    retention,
    upload_tokens,
    users,
)
from app.cli.base import (
    ACCOUNT,
    JSON,
    OPERATOR,
    Command,
    Commands,
    iso,
    parse_duration,
    parse_time,
    print_json,
)
from app.cli.connections import mailboxes, sinks
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys
from app.services.domains import demo
from app.services.ingest import tokens
from app.services.scans import scans

SCOPES = [scope.value for scope in Scope]


keys_group = Commands("keys", help="Manage API keys.")
scans_group = Commands("scans", help="Run scans.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    account_commands.init_app(app)
    users.init_app(app)
    for command in (keys_group, scans_group, set_up, demo_domains):
        app.cli.add_command(command)
    reports.init_app(app)
    export.init_app(app)
    sinks.init_app(app)
    channels.init_app(app)
    mailboxes.init_app(app)
    upload_tokens.init_app(app)
    retention.init_app(app)
    domains.init_app(app)


@keys_group.command("create")
@ACCOUNT
@click.option("--name", required=True)
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES))
@click.option("--expires", help="Date or time in UTC, like 2030-01-31.")
@click.option(
    "--allow", "allow_cidrs", multiple=True, help="Allowed network, like 192.0.2.0/24; repeatable."
)
@click.option("--rate-limit", help="Like '300 per minute'; default: RATE_LIMIT.")
def create_key(account: str, scopes: Sequence[str], expires: str | None, **properties: Any) -> None:
    """Create an API key. It is shown only once."""
    new = api_keys.NewKey(
        scopes=[Scope(scope) for scope in scopes], expires_at=parse_time(expires), **properties
    )
    key, token = api_keys.issue(accounts.find(account).id, new, actor=OPERATOR)
    print(f"{key.key_id}  {key.name}  {' '.join(key.scopes)}")
    print(f"API key (shown only once): {token}")


@keys_group.command("list")
@ACCOUNT
@JSON
def list_keys(account: str, as_json: bool) -> None:
    """List the API keys of an account, newest first."""
    now = wall_clock.now()
    keys = api_keys.search(accounts.find(account).id)
    if as_json:
        print_json(
            [
                {
                    "id": key.key_id,
                    "name": key.name,
                    "status": key.status(now),
                    "scopes": key.scopes,
                    "allowedNetworks": key.allow_cidrs,
                    "rateLimit": key.rate_limit,
                    "createdAt": iso(key.created_at),
                    "expiresAt": iso(key.expires_at),
                    "lastUsedAt": iso(key.last_used_at),
                }
                for key in keys
            ]
        )
        return
    for key in keys:
        used = key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else None
        expires = key.expires_at.isoformat(timespec="seconds") if key.expires_at else None
        print(
            f"{key.key_id}  {key.status(now):8}",
            key.name,
            " ".join(key.scopes),
            f"expires {expires}" if expires else "never expires",
            f"last used {used}" if used else "never used",
            sep="  ",
        )


@keys_group.command("revoke")
@ACCOUNT
@click.option("--reason")
@click.argument("key_id")
def revoke_key(account: str, reason: str | None, key_id: str) -> None:
    """Revoke an API key."""
    api_keys.revoke(accounts.find(account).id, _key_id(key_id), actor=OPERATOR, reason=reason)
    print(f"{_key_id(key_id)} is revoked. All processes refuse it within a second.")


@keys_group.command("rotate")
@ACCOUNT
@click.option("--grace", default="24h", show_default=True, help="How long the old key stays valid.")
@click.argument("key_id")
def rotate_key(account: str, grace: str, key_id: str) -> None:
    """Create a key with the same scopes. The old key expires after the grace period."""
    key, token = api_keys.rotate(
        accounts.find(account).id, _key_id(key_id), parse_duration(grace), actor=OPERATOR
    )
    print(f"{key.key_id}  {key.name}  {' '.join(key.scopes)}")
    print(f"API key (shown only once): {token}")


@scans_group.command("trigger")
@ACCOUNT
@click.argument("domain_refs", metavar="DOMAIN...", nargs=-1, required=True)
def trigger_scans(account: str, domain_refs: Sequence[str]) -> None:
    """Start scans of domains, given by name or id."""
    account_id = accounts.find(account).id
    for domain in domain_refs:
        result = scans.trigger(account_id, domain, actor=OPERATOR, trigger="cli")
        print(f"{ids.public('scan', result.scan.id)}  {result.scan.domain_name}  {result.outcome}")


@click.command("setup", cls=Command)
@click.option("--email", default="admin@localhost.localdomain", show_default=True)
def set_up(email: str) -> None:
    """Create the first account with its owner, an API key and report addresses.

    Nothing is done if there is an account.
    """
    created = accounts.set_up(email)
    if created is None:
        return
    base = settings.current().base_url
    print("Shown only once. Store these credentials now:")
    print(f"  dashboard  {base}/auth/login")
    print(f"  user       {created.email}")
    print(f"  password   {created.password}")
    print(f"  API key    {created.token}")
    print(f"  reports    {tokens.address(created.ingest_token)}")
    print(f"  TLS-RPT    {tokens.tls_line(created.ingest_token)}")
    print("Try it:")
    print(f"  curl -H 'Authorization: Bearer {created.token}' {base}/v1/me")


@click.command("demo", cls=Command)
def demo_domains() -> None:
    """Add the sample domains of the demo's name server, and scan them."""
    added = demo.add_samples()
    if added:
        print(f"Added {added} sample domains; their first scans are queued.")
    else:
        print("The sample domains exist already.")


def _key_id(text: str) -> str:
    """Return the public part of a key; a complete key is accepted, too."""
    return text.removeprefix("mp_")[:12]
