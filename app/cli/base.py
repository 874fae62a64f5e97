"""The base of all commands: error messages, confirmation, and the formats of times."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask.cli import AppGroup

from app import logs
from app.errors import NOT_FOUND, ApplicationError, NotFound

OPERATOR = "user:operator"
_NAMES = (
    "account",
    "channel",
    "key_id",
    "token",
    "report_file_id",
    "person",
    "domain",
)


ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
YES = click.option("--yes", is_flag=True, help="Do not prompt for confirmation.")


class Command(click.Command):
    """A command that prints errors as one sentence on stderr and exits with status 1.

    Log lines are on stderr, too, so that stdout has only the result.
    """

    def invoke(self, ctx: click.Context) -> Any:
        logs.move_to_stderr()
        try:
            return super().invoke(ctx)
        except NotFound as error:
            if error.message != NOT_FOUND:
                raise click.ClickException(error.message) from None
            names = [str(ctx.params[name]) for name in _NAMES if name in ctx.params]
            raise click.ClickException(f"Not found: {', '.join(names)}") from None
        except ApplicationError as error:
            raise click.ClickException(error.message) from None


class Commands(AppGroup):
    """A group of commands."""

    command_class = Command


def confirm(name: str, is_confirmed: bool) -> None:
    """Prompt for the name of what cannot be restored later, unless ``--yes`` was given.

    raises  ClickException, also without an answer, as of a script
    """
    if is_confirmed:
        return
    try:
        answer = click.prompt(f"This can't be undone. Type {name} to confirm")
    except click.Abort:
        if sys.stdin.isatty():
            raise  # a person has pressed Ctrl-C
        message = "There is no terminal to confirm on. Add --yes to confirm. Nothing was changed."
        raise click.ClickException(message) from None
    if answer != name:
        raise click.ClickException("The name doesn't match. Nothing was changed.")


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2))


def iso(at: datetime | None) -> str | None:
    """Return a time as JSON has it."""
    return at.isoformat() if at else None


def parse_duration(text: str) -> timedelta:
    """Return the duration that 30m, 24h or 7d means.

    raises  BadParameter
    """
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and len(text) < 7 and text[-1] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    raise click.BadParameter("expected format: 30m, 24h or 7d")


def parse_time(text: str | None) -> datetime | None:
    """Return the time of a date or time in UTC; None without a text.

    raises  BadParameter
    """
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("expected format: 2030-01-31 or 2030-01-31T12:00") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
