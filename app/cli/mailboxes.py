"""The ``flask mailboxes`` commands: mailboxes that reports are fetched from."""

from typing import Any
from uuid import UUID

import click
from flask import Flask

from app import ids
from app.cli.base import OPERATOR, Commands
from app.mailboxes.imap import Account
from app.services.accounts import accounts
from app.services.ingest import mailboxes

mailboxes_group = Commands("mailboxes", help="Manage IMAP mailboxes that reports are fetched from.")

_ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")
_AUTHSERV_ID = click.option(
    "--authserv-id", help="Trust Authentication-Results fields that begin with this server name."
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(mailboxes_group)


@mailboxes_group.command("add")
@_ACCOUNT
@click.option("--host", required=True)
@click.option("--port", default=993, show_default=True, help="Port with implicit TLS.")
@click.option("--username", required=True)
@click.option("--folder", default="INBOX", show_default=True)
@click.option(
    "--done-folder", help="Move imported mails to this folder; without it they are marked as seen."
)
@_AUTHSERV_ID
def add(account: str, authserv_id: str | None, **options: Any) -> None:
    """Fetch reports from a mailbox. The command prompts for the password."""
    account_id = accounts.find(account).id
    # Not an option: other users of the machine can read the arguments of a process.
    password = click.prompt("Password", hide_input=True)
    row = mailboxes.add(account_id, Account(**options, password=password), actor=OPERATOR)
    if authserv_id:
        mailboxes.trust_server(account_id, row.id, authserv_id, actor=OPERATOR)
    print(f"{ids.public('mbx', row.id)}  {row.username} at {row.host}")


@mailboxes_group.command("list")
@_ACCOUNT
def list_mailboxes(account: str) -> None:
    """List the mailboxes of an account with their status."""
    for row in mailboxes.search(accounts.find(account).id):
        polled = row.polled_at.isoformat(timespec="seconds") if row.polled_at else None
        trusted = row.authserv_id and f"trusts {row.authserv_id}"
        details = (
            f"{row.imported_count} imported",
            trusted,
            row.too_large and f"{row.too_large} too large",
            row.failure,
        )
        print(
            ids.public("mbx", row.id),
            f"{row.username} at {row.host}, {row.folder}",
            f"last polled {polled}" if polled else "never polled",
            *(detail for detail in details if detail),
            sep="  ",
        )


@mailboxes_group.command("remove")
@_ACCOUNT
@click.argument("mailbox_id")
def remove(account: str, mailbox_id: str) -> None:
    """Stop fetching from a mailbox, and delete its password."""
    mailboxes.remove(accounts.find(account).id, _id(mailbox_id), actor=OPERATOR)


@mailboxes_group.command("trust-server")
@_ACCOUNT
@_AUTHSERV_ID
@click.argument("mailbox_id")
def trust_server(account: str, authserv_id: str | None, mailbox_id: str) -> None:
    """Set the server whose Authentication-Results fields are trusted; without a name, none."""
    account_id = accounts.find(account).id
    row = mailboxes.trust_server(account_id, _id(mailbox_id), authserv_id, actor=OPERATOR)
    print(f"{mailbox_id}  trusts {row.authserv_id or 'no server'}")


@mailboxes_group.command("pull")
@click.argument("mailbox_id")
def pull(mailbox_id: str) -> None:
    """Fetch reports from a mailbox now."""
    result = mailboxes.poll(_id(mailbox_id), is_forced=True)
    if result is None:
        raise click.ClickException(f"Not found: {mailbox_id}")
    print(
        f"{result.imported_count} imported, {result.duplicate_count} duplicates, "
        f"{result.too_large} too large"
    )
    if result.failure:
        raise click.ClickException(result.failure)


def _id(text: str) -> UUID:
    mailbox_id = ids.parse("mbx", text)
    if mailbox_id is None:
        raise click.BadParameter("expected format: mbx_…")
    return mailbox_id
