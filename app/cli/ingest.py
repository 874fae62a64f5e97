"""The ``flask ingest`` command: imports reports from files, folders, mbox files and Maildirs."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID

import click

from app import ids
from app.cli.base import Command
from app.mailboxes import files
from app.mailboxes.files import Item, TooLarge
from app.protocols.quantities import quantity
from app.services.accounts import accounts
from app.services.ingest import files as ingest_files
from app.services.ingest import imports
from app.services.ingest.files import NewFile
from app.services.ingest.imports import Outcomes

BATCH_FILES, BATCH_BYTES = 100, 8 * 1024 * 1024  # in one transaction
LINE_SECONDS, DISPLAY_SECONDS = 5.0, 0.5  # between updates: of a log, and of a terminal
STALL_SECONDS = 60.0  # without a processed file: no worker is running
MAX_ERRORS = 100  # listed
INCOMPLETE, NOT_PROCESSED, INTERRUPTED = 1, 3, 130  # exit codes


@dataclass(slots=True)
class Run:
    """One run of the command: what was stored, and what the workers made of it.

    first    the smallest id that a file of this run may have
    again    files whose bytes had been imported before
    errors   files that could not be read
    """

    account_id: UUID
    first: UUID = field(default_factory=ids.new)
    started: float = field(default_factory=time.monotonic)
    stored: int = 0
    again: int = 0
    unreadable: int = 0
    errors: list[str] = field(default_factory=list)
    outcomes: Outcomes = field(default_factory=Outcomes)

    @property
    def files(self) -> int:
        """The number of files so far."""
        return self.stored + self.again + self.unreadable

    def update(self) -> None:
        """Read what the workers have made of the files so far."""
        self.outcomes = imports.outcomes(self.account_id, self.first)

    def fail(self, name: str, error: Exception) -> None:
        """Count a file that could not be read."""
        self.unreadable += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(f"{name}: {error}")

    def line(self) -> str:
        """The progress in one line."""
        now = self.outcomes
        return (
            f"{quantity(self.files, 'file')}, {quantity(now.parsed, 'report')}, "
            f"{quantity(now.duplicate + self.again, 'duplicate')}, "
            f"{now.rejected + now.unattributed + now.conflict} rejected, {now.waiting} waiting, "
            f"{quantity(self.files / max(time.monotonic() - self.started, 0.001), 'file')}/s"
        )


class _Progress:
    """The progress on stderr: in place on a terminal, else a line every few seconds."""

    def __init__(self, run: Run) -> None:
        self._run, self._is_terminal = run, sys.stderr.isatty()
        self._seconds = DISPLAY_SECONDS if self._is_terminal else LINE_SECONDS
        self._next = time.monotonic() + self._seconds

    def show(self) -> None:
        """Show the progress if it is time for it."""
        if time.monotonic() < self._next:
            return
        self._run.update()
        if self._is_terminal:
            click.echo(f"\r\x1b[K{self._run.line()}", nl=False, err=True)
        else:
            click.echo(self._run.line(), err=True)
        self._next = time.monotonic() + self._seconds

    def end(self) -> None:
        """End the line of the display."""
        if self._is_terminal:
            click.echo(err=True)


@click.command("ingest", cls=Command)
@click.option("--account", required=True, help="Name or id of the account.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Wait until the workers are done."
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def ingest(account: str, as_json: bool, wait: bool, paths: Sequence[Path]) -> None:
    """Import reports from files, folders, mbox files and Maildirs.

    Daily quotas do not apply. The command can be repeated: the same file or report is imported
    only once.
    """
    run = Run(accounts.find(account).id)
    progress = _Progress(run)
    is_complete = is_interrupted = False
    try:
        for batch in _batches(files.find(paths), run):
            for result in ingest_files.store_all(run.account_id, batch, received_via=imports.ROUTE):
                run.stored += result.is_new
                run.again += not result.is_new
            progress.show()
        is_complete = not wait or _wait(run, progress)
    except KeyboardInterrupt:
        is_interrupted = True
    progress.end()
    run.update()
    (_print_json if as_json else _print_summary)(run)
    if is_interrupted:
        click.echo("Interrupted. Repeat the command to import the remaining files.", err=True)
        raise SystemExit(INTERRUPTED)
    if not is_complete:
        click.echo("The files are stored. Start a worker to process them.", err=True)
        raise SystemExit(NOT_PROCESSED)
    now = run.outcomes
    has_failed = wait and (now.rejected or now.unattributed or now.conflict)
    if run.unreadable or has_failed:
        raise SystemExit(INCOMPLETE)


def _batches(items: Iterator[Item], run: Run) -> Iterator[Sequence[NewFile]]:
    """Read the files, as many at a time as one transaction stores."""
    batch: list[NewFile] = []
    size = 0
    for item in items:
        try:
            raw = item.read()
        except (OSError, TooLarge) as error:
            run.fail(item.name, error)
            continue
        if batch and (len(batch) == BATCH_FILES or size + len(raw) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(NewFile(raw, item.name))
        size += len(raw)
    if batch:
        yield batch


def _wait(run: Run, progress: _Progress) -> bool:
    """Wait until the workers have processed all files; return False if none does."""
    run.update()
    last, until = run.outcomes, time.monotonic() + STALL_SECONDS
    while run.outcomes.waiting and time.monotonic() < until:
        time.sleep(0.2)
        progress.show()
        run.update()
        if run.outcomes != last:
            last, until = run.outcomes, time.monotonic() + STALL_SECONDS
    return not run.outcomes.waiting


def _print_summary(run: Run) -> None:
    now = run.outcomes
    print(f"{run.stored} imported, {quantity(run.again, 'duplicate')}, {run.unreadable} unreadable")
    print(
        f"{quantity(now.parsed, 'report')}, {quantity(now.duplicate, 'duplicate')}, "
        f"{now.conflict} in conflict, "
        f"{now.unattributed} unattributed, {now.rejected} rejected, {now.waiting} waiting"
    )
    for reason, number in sorted((now.reasons or {}).items()):
        print(f"  {reason}: {number}")
    print(*run.errors, sep="\n", end="\n" if run.errors else "")
    if run.unreadable > len(run.errors):
        print(f"and {run.unreadable - len(run.errors)} more unreadable files")


def _print_json(run: Run) -> None:
    outcomes = asdict(run.outcomes)
    summary = {
        "files": run.files,
        "imported": run.stored,
        "alreadyImported": run.again,
        "unreadable": run.unreadable,
        "errors": run.errors,
        "reports": outcomes.pop("parsed"),
        "duplicates": outcomes.pop("duplicate"),
        "conflicts": outcomes.pop("conflict"),
        **outcomes,
        "seconds": round(time.monotonic() - run.started, 1),
    }
    click.echo(json.dumps(summary))
