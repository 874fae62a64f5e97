"""The ``flask export`` command: the records of an account as JSON lines."""

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import click
from flask import Flask

from app.cli.base import ACCOUNT, OPERATOR, Command
from app.protocols.quantities import quantity
from app.services.accounts import accounts
from app.services.audit import audit_log
from app.services.forwarding import kinds, stream
from app.services.forwarding.stream import Batch, Position
from app.services.reports import exports

PROGRESS_SECONDS = 5.0
FOLLOW_SECONDS = 2.0


def init_app(app: Flask) -> None:
    """Register the command with ``flask``."""
    app.cli.add_command(export)


@click.command("export", cls=Command)
@ACCOUNT
@click.option("--since", help="Continue after the record with this cursor.")
@click.option(
    "--kind",
    "names",
    multiple=True,
    type=click.Choice(kinds.NAMES),
    help="Only records of this kind; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append to this file instead of standard output.",
)
@click.option("--follow", is_flag=True, help="Wait for new records until Ctrl-C.")
def export(
    account: str, since: str | None, names: Sequence[str], output: Path | None, follow: bool
) -> None:
    """Write the records of an account as JSON lines, in the order in which they were stored.

    The cursor to continue with is printed on standard error at the end.
    """
    account_id = accounts.find(account).id
    position = stream.parse_cursor(since)
    audit_log.record_read(
        account_id, actor=OPERATOR, action="export.created", target="records.ndjson"
    )
    selected = names or kinds.NAMES
    if output is None:
        _write(sys.stdout.buffer, position, _batches(account_id, position, selected, follow))
        return
    with _appending(output) as file:
        _write(file, position, _batches(account_id, position, selected, follow))


def _appending(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def _batches(
    account_id: UUID, position: Position, names: Collection[str], follow: bool
) -> Iterator[Batch]:
    while True:
        for batch in stream.iterate(account_id, position, names):
            position = batch.position
            yield batch
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _write(file: BinaryIO, position: Position, batches: Iterator[Batch]) -> None:
    """Write the batches and print the progress, and the cursor at the end or after Ctrl-C."""
    count, reported_at = 0, time.monotonic()
    try:
        for batch in batches:
            file.writelines(exports.ndjson_lines(batch.records))
            file.flush()
            count, position = count + len(batch.records), batch.position
            if time.monotonic() > reported_at + PROGRESS_SECONDS:
                reported_at = time.monotonic()
                click.echo(f"{quantity(count, 'record')}, cursor {position.text()}", err=True)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    click.echo(f"{quantity(count, 'record')}. Continue with: --since {position.text()}", err=True)
