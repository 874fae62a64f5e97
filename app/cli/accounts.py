"""The ``flask accounts`` commands: create, list, limit, suspend, export and delete accounts."""

from pathlib import Path
from typing import Any

import click
from flask import Flask

from app import ids
from app.cli.base import JSON, OPERATOR, YES, Commands, confirm, iso, print_json
from app.protocols.quantities import quantity
from app.services.accounts import accounts, deletion, summaries
from app.services.accounts import export as accounts_export
from app.services.accounts.summaries import Summary
from app.services.api_keys import account_limits
from app.services.api_keys.account_limits import Changes

accounts_group = Commands("accounts", help="Manage accounts.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(accounts_group)


@accounts_group.command("create")
@click.argument("name")
def create(name: str) -> None:
    """Create an account."""
    account = accounts.create(name, actor=OPERATOR)
    print(f"{ids.public('acc', account.id)}  {account.name}")


@accounts_group.command("list")
@JSON
def list_accounts(as_json: bool) -> None:
    """List all accounts."""
    rows = summaries.search()
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    for row in rows:
        print(
            ids.public("acc", row.id),
            row.name,
            _status(row),
            *(f"{number} {name.replace('_', ' ')}" for name, number in row.counts.items()),
            sep="  ",
        )


@accounts_group.command("show")
@JSON
@click.argument("account")
def show(account: str, as_json: bool) -> None:
    """Show one account."""
    row = summaries.show(account)
    if as_json:
        print_json(_as_json(row))
        return
    print(f"{ids.public('acc', row.id)}  {row.name}  {_status(row)}")
    print(f"  created        {row.created_at:%Y-%m-%d %H:%M}")
    for name, number in row.counts.items():
        print(f"  {name.replace('_', ' '):14} {number}")


@accounts_group.command("suspend")
@click.argument("account")
def suspend(account: str) -> None:
    """Refuse API keys, sign-ins and reports of an account."""
    accounts.suspend(account, actor=OPERATOR)


@accounts_group.command("resume")
@click.argument("account")
def resume(account: str) -> None:
    """Undo a suspension."""
    accounts.resume(account, actor=OPERATOR)


@accounts_group.command("limits")
@click.option("--rate-limit", help="API requests of all API keys together, like '1000 per minute'.")
@click.option("--max-api-keys", help="Maximum number of active API keys.")
@click.option("--concurrent-evaluations", help="Concurrent calls of POST /v1/checks/evaluate.")
@click.option("--concurrent-exports", help="Concurrent CSV and NDJSON exports.")
@click.argument("account")
def limits(
    rate_limit: str | None,
    max_api_keys: str | None,
    concurrent_evaluations: str | None,
    concurrent_exports: str | None,
    account: str,
) -> None:
    """Show and change the limits of an account.

    The value 'default' restores the value of the setting.
    """
    changes = Changes(
        rate_limit=rate_limit,
        max_api_keys=max_api_keys,
        concurrent_evaluations=concurrent_evaluations,
        concurrent_exports=concurrent_exports,
    )
    current = account_limits.change(accounts.find(account).id, changes, actor=OPERATOR)
    print(f"API requests            {current.rate_limit}")
    print(f"active API keys         {current.max_api_keys}")
    print(f"concurrent evaluations  {current.concurrent_evaluations}")
    print(f"concurrent exports      {current.concurrent_exports}")


@accounts_group.command("export")
@click.argument("account")
@click.argument("path", type=click.Path(path_type=Path))
def export(account: str, path: Path) -> None:
    """Write all data of an account to a new ZIP file."""
    try:
        count = accounts_export.write(account, path, actor=OPERATOR)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    print(f"{path}: {quantity(count, 'row')}")


@accounts_group.command("delete")
@click.argument("account")
@YES
def delete(account: str, yes: bool) -> None:
    """Delete an account and all its data. This can't be undone."""
    row = summaries.show(account)
    confirm(row.name, yes)
    deletion.delete_now(account, actor=OPERATOR)
    print(f"Deleted {row.name}.")


def _status(row: Summary) -> str:
    return "being deleted" if row.deletion_requested_at else row.status


def _as_json(row: Summary) -> dict[str, Any]:
    return {
        "id": ids.public("acc", row.id),
        "name": row.name,
        "status": row.status,
        "createdAt": iso(row.created_at),
        "deletionRequestedAt": iso(row.deletion_requested_at),
        "counts": row.counts,
    }
