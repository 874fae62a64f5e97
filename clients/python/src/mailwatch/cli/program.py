"""The program: its command groups, and the exit statuses of errors."""

import sys
from typing import Annotated

import typer

from mailwatch.cli import output
from mailwatch.cli.commands import alerts, check, domains, export, login, mcp, plan, reports, scan
from mailwatch.cli.config import NoLogin
from mailwatch.cli.exits import Exit
from mailwatch.errors import ApiError, ConnectionFailed, RateLimited, ServiceFailed
from mailwatch.version import VERSION

# A group is a module with ``register``, which adds its commands.
GROUPS = (login, domains, scan, check, plan, alerts, reports, export, mcp)

app = typer.Typer(
    help="Check the email security of domains, with a mailwatch service or without one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for group in GROUPS:
    group.register(app)


def main() -> None:
    """Run the command of the arguments, and exit."""
    try:
        app()
    except NoLogin as error:
        output.complain(str(error))
        sys.exit(Exit.REFUSED)
    except (RateLimited, ServiceFailed, ConnectionFailed) as error:
        output.complain(_text(error))
        sys.exit(Exit.UNDETERMINED)
    except ApiError as error:
        output.complain(_text(error))
        sys.exit(Exit.REFUSED)
    except BrokenPipeError:
        sys.exit(Exit.OK)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Check the email security of domains, with a mailwatch service or without one."""
    if version:
        output.say(f"mailwatch {VERSION}")
        raise typer.Exit


def _text(error: ApiError | ConnectionFailed) -> str:
    if isinstance(error, ConnectionFailed):
        return str(error)
    request = f" (request {error.request_id})" if error.request_id else ""
    return f"{error.message}{request}"
