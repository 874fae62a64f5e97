"""``mailwatch reports``: report files."""

from pathlib import Path
from typing import Annotated

import typer

from mailwatch.cli import output, session

group = typer.Typer(help="Upload report files.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="reports")


@group.command()
def upload(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", exists=True, dir_okay=False, help="The files."),
    ],
    address: Annotated[
        str,
        typer.Option(
            envvar="MAILWATCH_REPORT_ADDRESS", help="The report address of the account, or its end."
        ),
    ],
    upload_token: Annotated[
        str | None,
        typer.Option(
            envvar="MAILWATCH_UPLOAD_TOKEN",
            help="An upload token; without one, the reports are unverified.",
        ),
    ] = None,
) -> None:
    """Upload report files: emails, mbox, XML, JSON, gzip, zip or tar, each unchanged."""
    with session.connect(needs_key=False) as client:
        for file in files:
            stored = client.upload_report(address, file.read_bytes(), upload_token=upload_token)
            for item in stored:
                output.say(f"{file}: {item['id']} {item['status']}")
