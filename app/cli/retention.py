"""The ``flask retention`` commands: show and apply the retention rules."""

import click
from flask import Flask

from app.cli.base import JSON, Commands, parse_time, print_json
from app.protocols.quantities import quantity
from app.services.operations import retention

retention_group = Commands("retention", help="Show and apply the retention rules.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(retention_group)


@retention_group.command("preview")
@click.option("--at", help="Date or time in UTC, like 2030-01-31; default: now.")
@JSON
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
