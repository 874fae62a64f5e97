"""The ``flask retention`` and ``flask domains`` commands: retention rules and legal holds."""

import click
from flask import Flask

from app.cli.base import OPERATOR, Commands, parse_time, print_json
from app.protocols.quantities import quantity
from app.services.accounts import accounts
from app.services.domains import domains
from app.services.operations import retention

retention_group = Commands("retention", help="Show and apply the retention rules.")
domains_group = Commands("domains", help="Manage legal holds of domains.")

_ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(retention_group)
    app.cli.add_command(domains_group)


@retention_group.command("preview")
@click.option("--at", help="Date or time in UTC, like 2030-01-31; default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preview(at: str | None, as_json: bool) -> None:
    """Show how many rows each rule would delete. Nothing is deleted."""
    rows = retention.preview(parse_time(at))
    if as_json:
        print_json(
            [
                {
                    "rule": row.name,
                    "table": row.table,
                    "deletes": row.what,
                    "setting": row.setting or None,
                    "days": row.days,
                    "rows": row.rows,
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        after = f"{row.setting}={row.days}" if row.setting else "fixed"
        print(f"{row.rows:10}  {row.name:24}  {after:34}  {row.what}")


@retention_group.command("run")
def run() -> None:
    """Apply the retention rules, as the clock process does every hour."""
    deleted = retention.run()
    for name, count in deleted.items():
        print(f"{count:10}  {name}")
    print(f"{quantity(sum(deleted.values()), 'row')} deleted")


@domains_group.command("hold")
@_ACCOUNT
@click.option("--reason", required=True)
@click.argument("domain")
def hold(account: str, reason: str, domain: str) -> None:
    """Put a domain on legal hold: none of its data is deleted."""
    row = domains.hold(accounts.find(account).id, domain, reason, actor=OPERATOR)
    print(f"{row.name} is on legal hold")


@domains_group.command("release")
@_ACCOUNT
@click.argument("domain")
def release(account: str, domain: str) -> None:
    """Release the legal hold of a domain."""
    row = domains.release_hold(accounts.find(account).id, domain, actor=OPERATOR)
    print(f"{row.name} is not on legal hold")
