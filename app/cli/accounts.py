"""The ``flask accounts`` commands: create, list, suspend, export and delete accounts."""

from pathlib import Path
from typing import Any

import click
from flask import Flask

from app import ids
from app.cli.base import OPERATOR, Commands, confirm, print_json
from app.protocols.quantities import quantity
from app.services.accounts import account_list, accounts, deletion
from app.services.accounts import export as accounts_export
from app.services.accounts.account_list import Summary

accounts_group = Commands("accounts", help="Manage accounts.")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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
@_JSON
def list_accounts(as_json: bool) -> None:
    """List all accounts."""
    rows = account_list.search()
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
@_JSON
@click.argument("account")
def show(account: str, as_json: bool) -> None:
    """Show one account."""
    row = account_list.show(account)
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
@click.option("--yes", is_flag=True, help="Skip the confirmation prompt.")
def delete(account: str, yes: bool) -> None:
    """Delete an account and all its data. This can't be undone."""
    row = account_list.show(account)
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
        "createdAt": row.created_at.isoformat(),
        "deletionRequestedAt": row.deletion_requested_at and row.deletion_requested_at.isoformat(),
        "counts": row.counts,
    }
