"""``flask …``: what operators do from a shell. Each command calls one service."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
from flask import Flask

from app import ids, settings
from app.cli import account_limits, channels, mailboxes, reports, retention, upload_tokens, users
from app.cli import accounts as account_commands
from app.cli.base import OPERATOR, Command, Commands, moment, span
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys
from app.services.domains import demo
from app.services.ingest import tokens
from app.services.scans import scans

SCOPES = [scope.value for scope in Scope]


keys_group = Commands("keys", help="API keys.")
scans_group = Commands("scans", help="Scans.")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    account_commands.init_app(app)
    account_commands.accounts_group.add_command(account_limits.limits)
    users.init_app(app)
    for command in (keys_group, scans_group, set_up, demo_domains):
        app.cli.add_command(command)
    reports.init_app(app)
    channels.init_app(app)
    mailboxes.init_app(app)
    upload_tokens.init_app(app)
    retention.init_app(app)


@keys_group.command("create")
@click.option("--account", required=True, help="Its name or id.")
@click.option("--name", required=True)
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES))
@click.option("--expires", help="A date or time, like 2030-01-31, in UTC.")
@click.option("--allow", "cidrs", multiple=True, help="A network like 192.0.2.0/24; repeatable.")
@click.option("--rate-limit", help="Like '300 per minute'; else the service's own.")
def create_key(
    account: str,
    name: str,
    scopes: Sequence[str],
    expires: str | None,
    cidrs: Sequence[str],
    rate_limit: str | None,
) -> None:  # fmt: skip
    """Make a key; it is printed once."""
    new = api_keys.NewKey(
        name, [Scope(scope) for scope in scopes], moment(expires), cidrs, rate_limit
    )
    key, token = api_keys.issue(accounts.find(account).id, new, actor=OPERATOR)
    print(f"{key.key_id}  {key.name}  {' '.join(key.scopes)}")
    print(f"key (shown once): {token}")


@keys_group.command("list")
@click.option("--account", required=True, help="Its name or id.")
def list_keys(account: str) -> None:
    """List the account's keys, newest first."""
    now = datetime.now(UTC)
    for key in api_keys.search(accounts.find(account).id):
        state = "active" if key.is_usable(now) else "revoked" if key.revoked_at else "expired"
        used = key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else "never used"
        ends = key.expires_at.isoformat(timespec="seconds") if key.expires_at else "no end"
        print(f"{key.key_id}  {state:8}  {key.name}  {' '.join(key.scopes)}  {ends}  {used}")


@keys_group.command("revoke")
@click.option("--account", required=True, help="Its name or id.")
@click.option("--reason")
@click.argument("key_id")
def revoke_key(account: str, reason: str | None, key_id: str) -> None:
    """Refuse a key from now on."""
    api_keys.revoke(accounts.find(account).id, _key_id(key_id), actor=OPERATOR, reason=reason)
    print(f"{_key_id(key_id)} is revoked; every process refuses it within a second")


@keys_group.command("rotate")
@click.option("--account", required=True, help="Its name or id.")
@click.option("--grace", default="24h", show_default=True, help="How long the old one goes on.")
@click.argument("key_id")
def rotate_key(account: str, grace: str, key_id: str) -> None:
    """Make a key like this one, which itself ends after the grace."""
    key, token = api_keys.rotate(
        accounts.find(account).id, _key_id(key_id), span(grace), actor=OPERATOR
    )
    print(f"{key.key_id}  {key.name}  {' '.join(key.scopes)}")
    print(f"key (shown once): {token}")


@scans_group.command("trigger")
@click.option("--account", required=True, help="Its name or id.")
@click.argument("domains", nargs=-1, required=True)
def trigger_scans(account: str, domains: Sequence[str]) -> None:
    """Ask for scans of domains, by name or id."""
    account_id = accounts.find(account).id
    for domain in domains:
        found = scans.trigger(account_id, domain, actor=OPERATOR, trigger="cli")
        print(f"{ids.public('scan', found.scan.id)}  {found.scan.domain_name}  {found.outcome}")


@click.command("setup", cls=Command)
@click.option("--email", default="admin@localhost.localdomain", show_default=True)
def set_up(email: str) -> None:
    """Make the first account, its owner, a key and addresses; nothing if there is an account."""
    made = accounts.set_up(email)
    if made is None:
        return
    base = settings.current().base_url
    print("First start. Shown once and kept nowhere; write them down:")
    print(f"  dashboard  {base}/auth/login")
    print(f"  user       {made.email}")
    print(f"  password   {made.password}")
    print(f"  API key    {made.token}")
    print(f"  reports    {tokens.address(made.ingest_token)}")
    print(f"  TLS-RPT    {tokens.tls_address(made.ingest_token)}")
    print("Try it:")
    print(f"  curl -H 'Authorization: Bearer {made.token}' {base}/v1/me")


@click.command("demo", cls=Command)
def demo_domains() -> None:
    """Add the sample domains that the demo's name server knows, and scan them."""
    added = demo.add_samples()
    if added:
        print(f"{added} sample domains; their first scans are under way")
    else:
        print("the sample domains are there already")


def _key_id(text: str) -> str:
    """The public part; a whole key is taken too, since that is what people have at hand."""
    return text.removeprefix("mp_")[:12]
