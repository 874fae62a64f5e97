"""The commands about channels: where alerts are sent to, and what became of that."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from flask import Flask, current_app

from app import ids
from app.checks.engine.types import Severity
from app.cli.base import OPERATOR, Commands, span
from app.models import Channel
from app.services.accounts import accounts
from app.services.notifications import channels, dispatcher
from app.services.notifications.channels import NewChannel

group = Commands("channels", help="Where alerts are sent to.")

SEVERITIES = [severity.value for severity in Severity]

F = TypeVar("F", bound=Callable[..., Any])

_ACCOUNT = click.option("--account", required=True, help="Its name or id.")
_CHANNEL = click.argument("channel")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    app.cli.add_command(group)


def _routed(command: F) -> F:
    """The options that say what a channel is called, and which alerts it gets."""
    for option in (
        click.option("--domain", "domains", multiple=True, help="Only alerts of it; repeatable."),
        click.option("--tag", "tags", multiple=True, help="Only of domains with it; repeatable."),
        click.option("--type", "types", multiple=True, help="Like spf.missing or dmarc.*"),
        click.option(
            "--severity", type=click.Choice(SEVERITIES), default="info", show_default=True,
            help="The least that it gets.",
        ),
        click.option("--name", required=True),
        _ACCOUNT,
    ):  # fmt: skip
        command = option(command)
    return command


@group.command("add-webhook")
@_routed
@click.argument("url")
def add_webhook(account: str, url: str, **routing: Any) -> None:
    """POST signed events to an https URL; the secret is printed once."""
    door = current_app.extensions["door"]
    account_id = accounts.find(account).id
    channel, secret = channels.add_webhook(account_id, url, _new(**routing), door, actor=OPERATOR)
    _print(channel)
    print(f"secret (shown once): {secret}")


@group.command("add-email")
@_routed
@click.option(
    "--cadence", type=click.Choice(["immediate", "daily", "weekly"]), default="immediate",
    show_default=True, help="At once, or what came together, at 08:00 UTC.",
)  # fmt: skip
@click.argument("addresses")
def add_email(account: str, addresses: str, cadence: str, **routing: Any) -> None:
    """Mail to addresses, comma-separated."""
    new = _new(**routing, cadence=cadence)
    _print(channels.add_email(accounts.find(account).id, addresses, new, actor=OPERATOR))


@group.command("add-chat")
@_routed
@click.argument("url")
def add_chat(account: str, url: str, **routing: Any) -> None:
    """Post to a chat or paging service; docs/alerts.md lists the forms of its address."""
    account_id = accounts.find(account).id
    _print(channels.add_chat(account_id, url, _new(**routing), actor=OPERATOR))


@group.command("list")
@_ACCOUNT
def list_channels(account: str) -> None:
    """List the account's channels, by name."""
    for channel in channels.search(accounts.find(account).id):
        _print(channel)


@group.command("test")
@_ACCOUNT
@_CHANNEL
def test_channel(account: str, channel: str) -> None:
    """Send a test event; the log says what became of it."""
    event_id = channels.test(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"{ids.public('evt', event_id)} is on its way; see flask channels log")


@group.command("log")
@_ACCOUNT
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@_CHANNEL
def show_log(account: str, channel: str, limit: int) -> None:
    """Show its last deliveries, newest first."""
    for entry in dispatcher.log(accounts.find(account).id, channel, limit=limit):
        at = entry.delivery.finished_at or entry.delivery.next_at
        said = entry.delivery.error or entry.delivery.response_status or ""
        print(
            f"{ids.public('evt', entry.event_id)}  {entry.type:18}  {entry.delivery.status:9}  "
            f"{entry.delivery.attempts} tries  {at:%Y-%m-%d %H:%M:%S}  {said}"
        )


@group.command("rotate-secret")
@_ACCOUNT
@click.option("--grace", default="24h", show_default=True, help="How long the old one signs too.")
@_CHANNEL
def rotate_secret(account: str, channel: str, grace: str) -> None:
    """Make a new secret of a webhook; it is printed once."""
    account_id = accounts.find(account).id
    _, secret = channels.rotate_secret(account_id, channel, span(grace), actor=OPERATOR)
    print(f"secret (shown once): {secret}")


@group.command("replay")
@_ACCOUNT
@_CHANNEL
def replay(account: str, channel: str) -> None:
    """Send again what was given up, with the ids that it had."""
    count = dispatcher.replay(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"{count} deliveries are on their way again")


@group.command("disable")
@_ACCOUNT
@_CHANNEL
def disable(account: str, channel: str) -> None:
    """Send nothing more."""
    _print(channels.disable(accounts.find(account).id, channel, actor=OPERATOR))


@group.command("enable")
@_ACCOUNT
@_CHANNEL
def enable(account: str, channel: str) -> None:
    """Send again."""
    _print(channels.enable(accounts.find(account).id, channel, actor=OPERATOR))


@group.command("remove")
@_ACCOUNT
@_CHANNEL
def remove(account: str, channel: str) -> None:
    """Delete it, with the log of its deliveries."""
    channels.remove(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"{channel} is removed")


def _new(
    name: str,
    severity: str,
    types: Sequence[str],
    tags: Sequence[str],
    domains: Sequence[str],
    cadence: str = "immediate",
) -> NewChannel:  # fmt: skip
    return NewChannel(name, Severity(severity), types, tags, domains, cadence)


def _print(channel: Channel) -> None:
    state = channels.target_error(channel) or "ready"
    if not channel.disabled_at and channel.failing_since:
        state = f"failing since {channel.failing_since:%Y-%m-%d %H:%M}"
    cadence = "" if channel.cadence == "immediate" else f" {channel.cadence}"
    print(
        f"{ids.public('chan', channel.id)}  {channel.name}  {channel.kind}{cadence}  "
        f"{channel.target}  {channel.min_severity}+  {state}"
    )
