"""``mailwatch export``: all rows of a list, as CSV or NDJSON."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from mailwatch.cli import session
from mailwatch.client import Client

Format = Literal["csv", "ndjson"]
Kind = Literal[
    "domains",
    "scans",
    "alerts",
    "events",
    "dmarc-reports",
    "dmarc-records",
    "tls-reports",
    "tls-records",
    "failure-reports",
    "report-files",
    "records",
]
Export = Callable[[Client, Format], Iterator[bytes]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    kind: Annotated[Kind, typer.Argument(help="What to export; `records` is everything.")],
    format: Annotated[Format, typer.Option(help="The format.")] = "ndjson",
    file: Annotated[
        Path | None, typer.Option("--output", help="Write to this file when all rows are there.")
    ] = None,
) -> None:
    """Export all rows of a list."""
    if kind == "records" and format != "ndjson":
        raise typer.BadParameter("records can only be exported as ndjson")
    with session.connect() as client:
        rows = EXPORTS[kind](client, format)
        if file is None:
            for part in rows:
                sys.stdout.buffer.write(part)
            return
        partial = file.with_name(f"{file.name}.part")
        with partial.open("wb") as output:
            for part in rows:
                output.write(part)
        partial.replace(file)


def _records(client: Client, _: Format) -> Iterator[bytes]:
    """Yield all records; a response has a limited number of them."""
    since: str | None = None
    while True:
        count = 0
        for record in client.records.list(since=since):
            since, count = record["cursor"], count + 1
            yield json.dumps(record).encode() + b"\n"
        if not count:
            return


EXPORTS: Mapping[Kind, Export] = {
    "domains": lambda client, format: client.domains.export(format),
    "scans": lambda client, format: client.scans.export(format),
    "alerts": lambda client, format: client.alerts.export(format),
    "events": lambda client, format: client.events.export(format),
    "dmarc-reports": lambda client, format: client.dmarc_reports.export(format),
    "dmarc-records": lambda client, format: client.dmarc_records.export(format),
    "tls-reports": lambda client, format: client.tls_reports.export(format),
    "tls-records": lambda client, format: client.tls_records.export(format),
    "failure-reports": lambda client, format: client.failure_reports.export(format),
    "report-files": lambda client, format: client.report_files.export(format),
    "records": _records,
}
