"""The commands about mailboxes that reports are pulled from."""

from typing import Any
from uuid import UUID

import click
from flask import Flask

from app import ids
from app.cli.base import OPERATOR, Commands
from app.mailboxes.imap import Account
from app.services.accounts import accounts
from app.services.ingest import mailboxes

mailboxes_group = Commands("mailboxes", help="IMAP mailboxes that reports are pulled from.")

_ACCOUNT = click.option("--account", required=True, help="Its name or id.")
_AUTHSERV_ID = click.option(
    "--authserv-id", help="The server whose Authentication-Results count: its own name for itself."
)


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    app.cli.add_command(mailboxes_group)


@mailboxes_group.command("add")
@_ACCOUNT
@click.option("--host", required=True)
@click.option("--port", default=993, show_default=True, help="TLS from the start.")
@click.option("--username", required=True)
@click.option("--folder", default="INBOX", show_default=True)
@click.option("--done-folder", help="Where mails go once they are kept; else they are marked seen.")
@_AUTHSERV_ID
def add(account: str, authserv_id: str | None, **options: Any) -> None:
    """Pull reports from a mailbox from now on; the command asks for its password."""
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
    """List an account's mailboxes, and how they fare."""
    for row in mailboxes.search(accounts.find(account).id):
        pulled = row.polled_at.isoformat(timespec="seconds") if row.polled_at else "never"
        trusted = row.authserv_id and f"trusts {row.authserv_id}"
        words = (
            f"{row.imported_count} kept",
            trusted,
            row.too_large and f"{row.too_large} too large",
            row.failure,
        )
        print(
            ids.public("mbx", row.id),
            f"{row.username} at {row.host}, {row.folder}",
            f"pulled {pulled}",
            *(word for word in words if word),
            sep="  ",
        )


@mailboxes_group.command("remove")
@_ACCOUNT
@click.argument("mailbox_id")
def remove(account: str, mailbox_id: str) -> None:
    """Pull a mailbox no more."""
    mailboxes.remove(accounts.find(account).id, _id(mailbox_id), actor=OPERATOR)


@mailboxes_group.command("trust-server")
@_ACCOUNT
@_AUTHSERV_ID
@click.argument("mailbox_id")
def trust_server(account: str, authserv_id: str | None, mailbox_id: str) -> None:
    """Name the server that receives a mailbox's mail; without a name, trust none."""
    account_id = accounts.find(account).id
    row = mailboxes.trust_server(account_id, _id(mailbox_id), authserv_id, actor=OPERATOR)
    print(f"{mailbox_id}  trusts {row.authserv_id or 'no server'}")


@mailboxes_group.command("pull")
@click.argument("mailbox_id")
def pull(mailbox_id: str) -> None:
    """Take in what waits in a mailbox now."""
    found = mailboxes.poll(_id(mailbox_id), is_forced=True)
    if found is None:
        raise click.ClickException(f"there is no mailbox {mailbox_id}")
    print(
        f"{found.imported_count} taken in, {found.duplicate_count} known already, "
        f"{found.too_large} too large"
    )
    if found.failure:
        raise click.ClickException(found.failure)


def _id(text: str) -> UUID:
    found = ids.parse("mbx", text)
    if found is None:
        raise click.BadParameter("it must read like mbx_…")
    return found
