"""``mailwatch scan``: scans of a domain."""

from typing import Annotated

import typer

from mailwatch.cli import output, session
from mailwatch.cli.exits import Exit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(scan)


def scan(
    domain: Annotated[str, typer.Argument(help="The name or id of a domain of the account.")],
    is_waiting: Annotated[bool, typer.Option("--wait", help="Wait for the result.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Start a scan. `mailwatch check` also shows its findings."""
    with session.connect() as client:
        started = client.scans.trigger(domain)
        result = client.wait_for_scan(started) if is_waiting else started
    score = result["score"]
    if is_json:
        output.as_json(result)
    elif score:
        output.say(f"{result['id']} {result['status']}: {score['value']}/100 ({score['grade']})")
    else:
        output.say(f"{result['id']} {result['status']} {result['error'] or ''}".rstrip())
    if result["status"] in ("failed", "cancelled"):
        raise typer.Exit(Exit.UNDETERMINED)
