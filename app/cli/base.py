"""What every command has: errors as a sentence, and how spans and moments are typed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask.cli import AppGroup

from app.errors import ApplicationError, NotFound

OPERATOR = "user:operator"
_NAMES = (
    "account",
    "channel",
    "key_id",
    "token",
    "report_file_id",
    "mailbox_id",
    "person",
    "domain",
)


class Command(click.Command):
    """A command whose errors are a sentence on stderr and exit status 1, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NotFound:
            named = [str(ctx.params[name]) for name in _NAMES if name in ctx.params]
            raise click.ClickException(f"there is no such thing: {', '.join(named)}") from None
        except ApplicationError as error:
            raise click.ClickException(error.message) from None


class Commands(AppGroup):
    """A group of them."""

    command_class = Command


def confirm(name: str, is_confirmed: bool) -> None:
    """Have the name of what is about to be deleted typed, unless ``--yes`` was given."""
    if is_confirmed:
        return
    if click.prompt(f"This can't be undone. Type {name} to confirm") != name:
        raise click.ClickException("The name doesn't match. Nothing was deleted.")


def print_json(value: Any) -> None:
    """Print a value for programs to read."""
    print(json.dumps(value, indent=2))


def span(text: str) -> timedelta:
    """A length of time: 30m, 24h or 7d."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and len(text) < 7 and text[-1] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    raise click.BadParameter("it must read like 30m, 24h or 7d")


def moment(text: str | None) -> datetime | None:
    """A date or time in UTC, if there is any."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("it must read like 2030-01-31 or 2030-01-31T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
