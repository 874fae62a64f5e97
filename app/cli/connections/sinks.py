"""The ``flask sinks`` commands: systems that records are forwarded to."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from flask import Flask, current_app

from app import ids
from app.cli.base import ACCOUNT, JSON, OPERATOR, YES, Commands, confirm, iso, print_json
from app.cli.connections import options
from app.cli.connections.managed import Managed, add_commands
from app.services.accounts import accounts
from app.services.forwarding import kinds, sink_tests, sinks
from app.services.forwarding.sink_tests import SinkStatus
from app.services.forwarding.sinks import NewSink
from app.sinks.registry import SINK_TYPES

sinks_group = Commands("sinks", help="Forward records to other systems, such as a SIEM.")

_KINDS = click.option(
    "--kind", "record_kinds", multiple=True, type=click.Choice(kinds.NAMES), help="Default: all."
)


MANAGED = Managed(
    group=sinks_group,
    noun="sink",
    prefix=sinks.PREFIX,
    service=sinks,
    name_of=lambda row: str(row.name),
    type_of=lambda row: str(row.kind),
    paused="Records wait until it is resumed.",
    resumed="Records are forwarded to it immediately.",
    removed="Its secret is deleted too, and no more records are forwarded to it.",
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(sinks_group)


@sinks_group.command("types")
def list_types() -> None:
    """List the types of sinks with their options."""
    options.print_types(SINK_TYPES.values())


@sinks_group.command("add")
@ACCOUNT
@click.option("--name", required=True)
@click.option("--type", "type_name", required=True, type=click.Choice(list(SINK_TYPES)))
@options.type_options(SINK_TYPES)
@_KINDS
@click.option("--from-start", is_flag=True, help="Also forward all records that are stored.")
def add(
    account: str, name: str, type_name: str, record_kinds: Sequence[str], **values: Any
) -> None:
    """Forward new records. The command prompts for the secret of the type, if it has one."""
    account_id = accounts.find(account).id
    new = NewSink(
        name=name,
        config=options.new(SINK_TYPES, type_name, values),
        record_kinds=record_kinds,
        is_complete=values["from_start"],
    )
    row, secret = sinks.add(account_id, new, actor=OPERATOR)
    print(f"{ids.public(sinks.PREFIX, row.id)}  {row.name}")
    if secret is not None:
        print(f"Signing secret (shown only once): {secret}")


@sinks_group.command("edit")
@ACCOUNT
@click.option("--name", help="The new name.")
@options.type_options(SINK_TYPES)
@_KINDS
@click.option("--secrets", is_flag=True, help="Prompt for a new secret.")
@click.argument("sink_id")
def edit(account: str, sink_id: str, name: str | None, secrets: bool, **values: Any) -> None:
    """Change the options that are given; the others stay as they are. "" clears an option."""
    row = MANAGED.find(account, sink_id)
    stored = sinks.config_of(row)
    new = NewSink(
        name=row.name if name is None else name,
        config=options.changed(SINK_TYPES, stored, values, has_new_secrets=secrets),
        record_kinds=values["record_kinds"] or row.record_kinds,
    )
    row = sinks.change(row.account_id, row.id, new, actor=OPERATOR)
    print(f"{sink_id}  {row.name}")


@sinks_group.command("list")
@ACCOUNT
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
@ACCOUNT
@JSON
@click.argument("sink_id")
def show(account: str, sink_id: str, as_json: bool) -> None:
    """Show a sink, and the records that the receiver refused with the reasons."""
    row = MANAGED.find(account, sink_id)
    status = sink_tests.status(row.account_id, row.id)
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
        "destination": sinks.public_config_of(row).destination,
        "pausedAt": iso(row.paused_at),
        "forwardedCount": row.forwarded_count,
        "skippedCount": row.skipped_count,
        "waitingSince": iso(status.waiting_since),
        "failure": row.failure,
    }


def _details(status: SinkStatus) -> Iterator[str]:
    row = status.row
    yield f"{row.name}: {row.kind} to {sinks.public_config_of(row).destination}"
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
@ACCOUNT
@click.argument("sink_id")
def test(account: str, sink_id: str) -> None:
    """Send a test record to a sink."""
    row, network = MANAGED.find(account, sink_id), current_app.extensions["network"]
    error = sink_tests.test(row.account_id, row.id, network, actor=OPERATOR)
    if error is not None:
        raise click.ClickException(f"The test failed: {error}")
    print("The receiver accepted the test record.")


@sinks_group.command("skip")
@ACCOUNT
@YES
@click.argument("sink_id")
def skip(account: str, sink_id: str, yes: bool) -> None:
    """Leave out the records that wait for a sink; only later ones are forwarded."""
    row = MANAGED.find(account, sink_id)
    print(f"The records that wait for {row.name} will never be forwarded to it.")
    confirm(row.name, yes)
    sinks.skip_waiting(row.account_id, row.id, actor=OPERATOR)
    print(f"{MANAGED.described(row)} skips the records that waited. New records are forwarded.")


add_commands(MANAGED)
