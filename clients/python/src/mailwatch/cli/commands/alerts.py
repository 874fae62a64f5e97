"""``mailwatch alerts``: what needs attention."""

from typing import Annotated, Literal

import typer

from mailwatch.cli import output, session
from mailwatch.generated.models import ChangeBody, Severity

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Status = Literal["open", "acknowledged", "snoozed", "dismissed", "resolved"]
NewStatus = Literal["open", "acknowledged", "dismissed"]
group = typer.Typer(help="List alerts, and change their status.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="alerts")


@group.command("list")
def list_(
    domain: Annotated[str | None, typer.Option(help="Only those of this domain.")] = None,
    status: Annotated[Status, typer.Option(help="Only those with this status.")] = "open",
    severity: Annotated[Severity | None, typer.Option(help="Only this severity.")] = None,
    is_json: Json = False,
) -> None:
    """List alerts, newest first."""
    with session.connect() as client:
        alerts = list(
            client.alerts.list(domain=domain, status=status, severity=severity, page_size=100)
        )
    if is_json:
        output.as_json(alerts)
        return
    output.table(
        ["Alert", "Severity", "Domain", "Title"],
        ([alert["id"], alert["severity"], alert["domainName"], alert["title"]] for alert in alerts),
    )


@group.command("set")
def set_(
    status: Annotated[NewStatus, typer.Argument(help="The new status.")],
    ids: Annotated[list[str], typer.Argument(metavar="ALERT…", help="The ids of the alerts.")],
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Acknowledge, dismiss or reopen alerts."""
    body: ChangeBody = {"status": status, "note": note}
    with session.connect() as client:
        for id in ids:
            alert = client.alerts.change(id, body)
            output.say(f"{alert['id']} {alert['status']}: {alert['title']}")
