"""What the command prints: tables for people, and JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {
    **{"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"},
    **{"fail": "red", "warn": "yellow", "ok": "green", "undetermined": "magenta"},
    **{"worse": "red", "better": "green"},
}


def say(text: str) -> None:
    """Print a line for people."""
    typer.echo(printable(text))


def complain(text: str) -> None:
    """Print a line to the standard error."""
    typer.echo(printable(text), err=True)


def as_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below the names of their columns; words of ``STYLES`` have a color."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    Console().print(made)


def printable(text: str) -> str:
    """Return the text with control characters escaped, because records come from anyone."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


def _cell(value: Any) -> Text:
    text = "" if value is None else printable(str(value))
    return Text(text, style=STYLES.get(text, ""))
