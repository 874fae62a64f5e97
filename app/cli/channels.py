"""The ``flask channels`` commands: notification channels and their deliveries."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from flask import Flask, current_app

from app import ids
from app.channels.registry import CHANNEL_TYPES
from app.channels.types import ChannelType
from app.checks.engine.types import Severity
from app.cli.base import ACCOUNT, JSON, OPERATOR, Commands, iso, parse_duration, print_json
from app.models import Channel
from app.services.accounts import accounts
from app.services.notifications import channel_pages, channels, dispatcher
from app.services.notifications.channel_pages import ChannelPage, ListedChannel
from app.services.notifications.channels import NewChannel
from app.services.weekly import schedules
from app.services.weekly.schedules import WEEKDAYS, Schedule

group = Commands("channels", help="Manage notification channels.")

SEVERITIES = [severity.value for severity in Severity]

F = TypeVar("F", bound=Callable[..., Any])

_CHANNEL = click.argument("channel")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(group)


def _with_filters(command: F) -> F:
    """Add the options for the name of a channel and for the alerts that it sends."""
    for option in (
        click.option(
            "--domain", "domains", multiple=True, help="Only alerts of this domain; repeatable."
        ),
        click.option(
            "--tag", "tags", multiple=True, help="Only alerts of domains with this tag; repeatable."
        ),
        click.option(
            "--type",
            "types",
            multiple=True,
            help="Only this alert type, like spf.missing or dmarc.*; repeatable.",
        ),
        click.option(
            "--severity",
            type=click.Choice(SEVERITIES),
            default="info",
            show_default=True,
            help="Minimum severity.",
        ),
        click.option("--name", required=True),
        ACCOUNT,
    ):
        command = option(command)
    return command


def _with_cadence(command: F) -> F:
    """Add the option for digests."""
    return click.option(
        "--cadence",
        type=click.Choice(["immediate", "daily", "weekly"]),
        default="immediate",
        show_default=True,
        help="Send each alert immediately, or a digest at 08:00 UTC.",
    )(command)


def _add_command(type: ChannelType) -> None:
    """Add the command that creates a channel of this type."""

    def add(account: str, severity: str, **options: Any) -> None:
        account_id = accounts.find(account).id
        new = NewChannel(type=type.name, min_severity=Severity(severity), **options)
        network = current_app.extensions["network"]
        channel, secret = channels.add(account_id, new, network, actor=OPERATOR)
        _print_one(channel)
        if secret is not None:
            print(f"secret (shown only once): {secret}")

    command = click.argument("target", metavar=type.target_field.upper())(add)
    command = _with_cadence(command) if type.has_digests else command
    group.command(f"add-{type.name}", help=type.description)(_with_filters(command))


for _type in CHANNEL_TYPES.values():
    _add_command(_type)


@group.command("list")
@ACCOUNT
@JSON
def list_channels(account: str, as_json: bool) -> None:
    """List the channels of an account by name."""
    items = channel_pages.listing(accounts.find(account).id)
    if as_json:
        print_json([_as_json(item) for item in items])
        return
    for item in items:
        _print(item)


@group.command("weekly")
@ACCOUNT
@click.option(
    "--day",
    type=click.Choice([*(day.lower() for day in WEEKDAYS), "never"]),
    default="monday",
    show_default=True,
)
@click.option("--hour", type=click.IntRange(0, 23), default=8, show_default=True)
@click.option("--zone", default="UTC", show_default=True, help="Such as Europe/Berlin.")
@_CHANNEL
def set_weekly(account: str, channel: str, day: str, hour: int, zone: str) -> None:
    """Send the weekly summary of an email channel on a day and hour, or never."""
    names = [name.lower() for name in WEEKDAYS]
    schedule = None if day == "never" else Schedule(names.index(day), hour, zone)
    before = schedules.change(accounts.find(account).id, channel, schedule, actor=OPERATOR)
    print(f"Weekly summary: {schedule or 'never'} (before: {before or 'never'})")


@group.command("test")
@ACCOUNT
@_CHANNEL
def test_channel(account: str, channel: str) -> None:
    """Send a test event. `flask channels log` shows the result."""
    event_id = channels.test(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"Queued test event {ids.public('evt', event_id)}")


@group.command("log")
@ACCOUNT
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@JSON
@_CHANNEL
def show_log(account: str, channel: str, limit: int, as_json: bool) -> None:
    """Show the last deliveries of a channel, newest first."""
    entries = dispatcher.log(accounts.find(account).id, channel, limit=limit)
    if as_json:
        print_json(
            [
                {
                    "eventId": ids.public("evt", entry.event_id),
                    "type": entry.type,
                    "status": entry.delivery.status,
                    "attempts": entry.delivery.attempts,
                    "responseStatus": entry.delivery.response_status,
                    "error": entry.delivery.error,
                    "finishedAt": iso(entry.delivery.finished_at),
                    "nextAttemptAt": iso(entry.delivery.next_at),
                }
                for entry in entries
            ]
        )
        return
    for entry in entries:
        at = entry.delivery.finished_at or entry.delivery.next_at
        result = entry.delivery.error or entry.delivery.response_status or ""
        print(
            f"{ids.public('evt', entry.event_id)}  {entry.type:18}  {entry.delivery.status:9}  "
            f"{entry.delivery.attempts} attempts  {at:%Y-%m-%d %H:%M:%S}  {result}"
        )


@group.command("rotate-secret")
@ACCOUNT
@click.option(
    "--grace", default="24h", show_default=True, help="How long the old secret stays valid."
)
@_CHANNEL
def rotate_secret(account: str, channel: str, grace: str) -> None:
    """Create a new secret for a webhook. It is shown only once."""
    account_id = accounts.find(account).id
    _, secret = channels.rotate_secret(account_id, channel, parse_duration(grace), actor=OPERATOR)
    print(f"secret (shown only once): {secret}")


@group.command("replay")
@ACCOUNT
@_CHANNEL
def replay(account: str, channel: str) -> None:
    """Retry failed deliveries with their original ids."""
    count = dispatcher.replay(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"Queued {count} deliveries again")


@group.command("disable")
@ACCOUNT
@_CHANNEL
def disable(account: str, channel: str) -> None:
    """Disable a channel."""
    _print_one(channels.disable(accounts.find(account).id, channel, actor=OPERATOR))


@group.command("enable")
@ACCOUNT
@_CHANNEL
def enable(account: str, channel: str) -> None:
    """Enable a channel."""
    _print_one(channels.enable(accounts.find(account).id, channel, actor=OPERATOR))


@group.command("remove")
@ACCOUNT
@_CHANNEL
def remove(account: str, channel: str) -> None:
    """Delete a channel and its delivery log."""
    channels.remove(accounts.find(account).id, channel, actor=OPERATOR)
    print(f"Deleted {channel}.")


def _print_one(channel: Channel) -> None:
    _print(channel_pages.find(channel.account_id, ids.public("chan", channel.id)))


def _status(item: ListedChannel | ChannelPage) -> str:
    failing_since = item.channel.failing_since
    if failing_since and not item.channel.disabled_at:
        return f"failing since {failing_since:%Y-%m-%d %H:%M}"
    return item.problem or "ready"


def _as_json(item: ListedChannel) -> dict[str, Any]:
    channel = item.channel
    return {
        "id": ids.public("chan", channel.id),
        "name": channel.name,
        "type": channel.kind,
        "target": channel.target,
        "cadence": channel.cadence,
        "minSeverity": channel.min_severity,
        "status": _status(item),
    }


def _print(item: ListedChannel | ChannelPage) -> None:
    channel = item.channel
    cadence = "" if channel.cadence == "immediate" else f" {channel.cadence}"
    print(
        f"{ids.public('chan', channel.id)}  {channel.name}  {channel.kind}{cadence}  "
        f"{channel.target}  {channel.min_severity}+  {_status(item)}"
    )
