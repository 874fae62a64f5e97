"""The commands about how long data stays: retention, and legal holds of domains."""

import click
from flask import Flask

from app.cli.base import OPERATOR, Commands, moment, print_json
from app.services.accounts import accounts
from app.services.domains import domains
from app.services.operations import retention

retention_group = Commands("retention", help="How long data stays.")
domains_group = Commands("domains", help="Legal holds of domains.")

_ACCOUNT = click.option("--account", required=True, help="Its name or id.")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    app.cli.add_command(retention_group)
    app.cli.add_command(domains_group)


@retention_group.command("preview")
@click.option("--at", help="A date or time in UTC, like 2030-01-31; now without it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preview(at: str | None, as_json: bool) -> None:
    """Show how many rows each rule would delete; nothing is deleted."""
    rows = retention.preview(moment(at))
    if as_json:
        print_json(
            [
                {
                    "rule": row.name, "table": row.table, "deletes": row.what,
                    "setting": row.setting or None, "days": row.days, "rows": row.rows,
                }
                for row in rows
            ]
        )  # fmt: skip
        return
    for row in rows:
        after = f"{row.setting}={row.days}" if row.setting else "fixed"
        print(f"{row.rows:10}  {row.name:24}  {after:34}  {row.what}")


@retention_group.command("run")
def run() -> None:
    """Delete what the rules say, as the clock does every hour."""
    deleted = retention.run()
    for name, count in deleted.items():
        print(f"{count:10}  {name}")
    print(f"{sum(deleted.values())} rows deleted")


@domains_group.command("hold")
@_ACCOUNT
@click.option("--reason", required=True)
@click.argument("domain")
def hold(account: str, reason: str, domain: str) -> None:
    """Put a domain on legal hold: nothing of it is deleted."""
    row = domains.hold(accounts.find(account).id, domain, reason, actor=OPERATOR)
    print(f"{row.name} is on legal hold")


@domains_group.command("release")
@_ACCOUNT
@click.argument("domain")
def release(account: str, domain: str) -> None:
    """Release the legal hold of a domain."""
    row = domains.release_hold(accounts.find(account).id, domain, actor=OPERATOR)
    print(f"{row.name} is not on legal hold")
