"""The ``flask sinks`` commands: systems that records are forwarded to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import Flask, current_app

from app import ids
from app.cli.base import JSON, OPERATOR, Commands, iso, print_json
from app.services.accounts import accounts
from app.services.forwarding import kinds, sink_tests, sinks
from app.services.forwarding.sink_tests import SinkStatus
from app.services.forwarding.sinks import NewSink
from app.sinks.registry import SINK_TYPES
from app.sinks.types import SinkType

sinks_group = Commands("sinks", help="Forward records to other systems, such as a SIEM.")

_ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")
_OPTIONS = click.option(
    "--option", "options", multiple=True, help="NAME=VALUE, or NAME=@FILE to read a file."
)
_KINDS = click.option(
    "--kind", "record_kinds", multiple=True, type=click.Choice(kinds.NAMES), help="Default: all."
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(sinks_group)


@sinks_group.command("types")
def list_types() -> None:
    """List the types of sinks with their options."""
    for type in SINK_TYPES.values():
        print(f"{type.name}  {type.description}")
        for option in type.options:
            notes = [option.label]
            if option.choices:
                notes.append(", ".join(option.choices))
            notes.append("prompted" if option.is_secret else option.hint)
            print(f"  {option.name:16}  {'; '.join(filter(None, notes))}")


@sinks_group.command("add")
@_ACCOUNT
@click.option("--name", required=True)
@click.option("--type", "type_name", required=True, type=click.Choice(list(SINK_TYPES)))
@_OPTIONS
@_KINDS
@click.option("--from-start", is_flag=True, help="Also forward all records that are stored.")
def add(account: str, type_name: str, options: Sequence[str], **fields: Any) -> None:
    """Forward new records. The command prompts for the secret of the type, if it has one."""
    account_id = accounts.find(account).id
    type = SINK_TYPES[type_name]
    values = dict(_values(type, options))
    if type.secret_option and values.get("authentication") != "none":
        # Not an option: other users of the machine can read the arguments of a process.
        label = type.secret_option.label
        values[type.secret_option.name] = click.prompt(label, hide_input=True)
    new = NewSink(
        name=fields["name"],
        type=type_name,
        options=values,
        record_kinds=fields["record_kinds"],
        is_complete=fields["from_start"],
    )
    row, secret = sinks.add(account_id, new, actor=OPERATOR)
    print(f"{ids.public(sinks.PREFIX, row.id)}  {row.name}")
    if secret is not None:
        print(f"Signing secret (shown only once): {secret}")


def _values(type: SinkType, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    names = {option.name for option in type.options if not option.is_secret}
    for text in options:
        name, _, value = text.partition("=")
        if name not in names:
            raise click.BadParameter(f"{name}: choose from {', '.join(sorted(names))}")
        if value.startswith("@"):
            try:
                value = Path(value[1:]).read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                raise click.BadParameter(f"{value[1:]} cannot be read") from None
        yield name, value


@sinks_group.command("list")
@_ACCOUNT
@JSON
def list_sinks(account: str, as_json: bool) -> None:
    """List the sinks of an account with their status."""
    statuses = sink_tests.overview(accounts.find(account).id)
    if as_json:
        print_json([_as_json(status) for status in statuses])
        return
    for status in statuses:
        print(ids.public(sinks.PREFIX, status.row.id), *_details(status), sep="  ")


@sinks_group.command("show")
@_ACCOUNT
@JSON
@click.argument("sink_id")
def show(account: str, sink_id: str, as_json: bool) -> None:
    """Show a sink, and the records that the receiver refused with the reasons."""
    status = sink_tests.status(accounts.find(account).id, _id(sink_id))
    if as_json:
        print_json(_as_json(status) | {"skipped": status.row.skipped or {}})
        return
    print(sink_id, *_details(status), sep="\n")
    for id, reason in (status.row.skipped or {}).items():
        print(f"skipped {id}: {reason}")


def _as_json(status: SinkStatus) -> dict[str, Any]:
    row = status.row
    return {
        "id": ids.public(sinks.PREFIX, row.id),
        "name": row.name,
        "type": row.kind,
        "destination": SINK_TYPES[row.kind].destination(row.options),
        "pausedAt": iso(row.paused_at),
        "forwardedCount": row.forwarded_count,
        "skippedCount": row.skipped_count,
        "waitingSince": iso(status.waiting_since),
        "failure": row.failure,
    }


def _details(status: SinkStatus) -> Iterator[str]:
    row = status.row
    yield f"{row.name}: {row.kind} to {SINK_TYPES[row.kind].destination(row.options)}"
    if row.paused_at:
        yield "paused"
    yield f"{row.forwarded_count} forwarded"
    if row.skipped_count:
        yield f"{row.skipped_count} skipped"
    if status.waiting_since:
        yield f"waiting since {status.waiting_since.isoformat(timespec='seconds')}"
    if row.failure:
        yield row.failure


@sinks_group.command("test")
@_ACCOUNT
@click.argument("sink_id")
def test(account: str, sink_id: str) -> None:
    """Send a test record to a sink."""
    account_id, network = accounts.find(account).id, current_app.extensions["network"]
    error = sink_tests.test(account_id, _id(sink_id), network, actor=OPERATOR)
    if error is not None:
        raise click.ClickException(f"The test failed: {error}")
    print("The receiver accepted the test record.")


@sinks_group.command("pause")
@_ACCOUNT
@click.argument("sink_id")
def pause(account: str, sink_id: str) -> None:
    """Stop forwarding to a sink until it is resumed."""
    sinks.pause(accounts.find(account).id, _id(sink_id), actor=OPERATOR)


@sinks_group.command("resume")
@_ACCOUNT
@click.argument("sink_id")
def resume(account: str, sink_id: str) -> None:
    """Forward to a paused sink again, and to a failing one immediately."""
    sinks.resume(accounts.find(account).id, _id(sink_id), actor=OPERATOR)


@sinks_group.command("skip")
@_ACCOUNT
@click.argument("sink_id")
def skip(account: str, sink_id: str) -> None:
    """Leave out the records that wait for a sink; only later ones are forwarded."""
    sinks.skip_waiting(accounts.find(account).id, _id(sink_id), actor=OPERATOR)


@sinks_group.command("remove")
@_ACCOUNT
@click.argument("sink_id")
def remove(account: str, sink_id: str) -> None:
    """Stop forwarding to a sink, and delete its secret."""
    sinks.remove(accounts.find(account).id, _id(sink_id), actor=OPERATOR)


def _id(text: str) -> UUID:
    sink_id = ids.parse(sinks.PREFIX, text)
    if sink_id is None:
        raise click.BadParameter("expected format: sink_…")
    return sink_id
