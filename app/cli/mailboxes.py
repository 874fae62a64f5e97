"""The ``flask mailboxes`` commands: mailboxes that reports are fetched from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import Flask, current_app

from app import ids
from app.cli.base import OPERATOR, Commands
from app.mailboxes.imap import Account
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.services.accounts import accounts
from app.services.ingest import mailbox_access, mailboxes
from app.services.ingest.mailbox_access import SECURITIES, Connection

mailboxes_group = Commands("mailboxes", help="Manage IMAP mailboxes that reports are fetched from.")

_ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")
_AUTHSERV_ID = click.option(
    "--authserv-id", help="Trust Authentication-Results fields that begin with this server name."
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(mailboxes_group)


def _access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the access to a mailbox, which have no defaults."""
    for option in reversed(
        (
            click.option("--host"),
            click.option("--port", type=int, help="993, or 143 with STARTTLS."),
            click.option("--username"),
            click.option("--folder", help="INBOX unless set."),
            click.option(
                "--done-folder",
                help="Move imported mails to this folder; without it they are marked as seen.",
            ),
            click.option("--create-done-folder", is_flag=True, help="Create it if it is missing."),
            click.option("--security", type=click.Choice(SECURITIES), help="tls unless set."),
            click.option(
                "--ca-file",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Certificates (PEM) of the only authorities that are trusted.",
            ),
            click.option(
                "--messages",
                type=click.Choice(("all", "unread")),
                help="All mails, which requires --done-folder and is its default; or unread ones.",
            ),
            click.option("--skip-test", is_flag=True, help="Do not sign in to test the mailbox."),
        )
    ):
        command = option(command)
    return command


@mailboxes_group.command("add")
@_ACCOUNT
@_access_options
@_AUTHSERV_ID
def add(account: str, authserv_id: str | None, **options: Any) -> None:
    """Fetch reports from a mailbox. The command prompts for the password."""
    for name in ("host", "username"):
        if options[name] is None:
            raise click.UsageError(f"Missing option '--{name}'.")
    account_id = accounts.find(account).id
    # Not an option: other users of the machine can read the arguments of a process.
    password = click.prompt("Password", hide_input=True)
    access = _access(options, Account(host="", port=0, username="", password=password))
    _test(mailbox_access.checked(access), options)
    row = mailboxes.add(account_id, access, actor=OPERATOR, is_private=True)
    if authserv_id:
        mailboxes.trust_server(account_id, row.id, authserv_id, actor=OPERATOR)
    print(f"{ids.public('mbx', row.id)}  {row.username} at {row.host}")


@mailboxes_group.command("edit")
@_ACCOUNT
@_access_options
@click.option("--password", is_flag=True, help="Prompt for a new password.")
@click.option("--no-done-folder", is_flag=True, help="Mark imported mails as seen.")
@click.option("--no-ca-file", is_flag=True, help="Trust the authorities of this machine.")
@click.argument("mailbox_id")
def edit(
    account: str,
    mailbox_id: str,
    password: bool,
    no_done_folder: bool,
    no_ca_file: bool,
    **options: Any,
) -> None:
    """Change the options that are given; the others stay as they are."""
    account_id = accounts.find(account).id
    row = mailboxes.find(account_id, _id(mailbox_id))
    stored = mailbox_access.connection_of(row).access
    if password:
        stored = replace(stored, password=click.prompt("Password", hide_input=True))
    if no_done_folder:
        stored = replace(stored, done_folder=None, only_unread=False)
    if no_ca_file:
        stored = replace(stored, ca_certificates=None)
    access = _access(options, stored)
    _test(mailbox_access.checked(access), options)
    mailboxes.change(account_id, row.id, access, actor=OPERATOR, is_private=True)
    print(f"{mailbox_id}  {access.username} at {access.host}")


def _access(options: Mapping[str, Any], stored: Account) -> Account:
    """Return the stored access with the options that were given."""
    names = ("host", "port", "username", "folder", "done_folder", "security")
    given = {name: options[name] for name in names if options[name] is not None}
    if options["ca_file"] is not None:
        given["ca_certificates"] = _certificates(options["ca_file"])
    access = replace(stored, **given)
    if not access.port:
        access = replace(access, port=143 if access.security == "starttls" else 993)
    if options["messages"] == "all" and access.done_folder is None:
        raise click.UsageError("--messages all requires --done-folder.")
    if options["messages"] is not None:
        access = replace(access, only_unread=options["messages"] == "unread")
    return access


def _certificates(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"{path} has no certificates in PEM format") from None


def _test(access: Account, options: Mapping[str, Any]) -> None:
    """Sign in and look for the folders, unless the test is skipped."""
    if options["skip_test"]:
        return
    connection = Connection(access, is_private=True)
    try:
        mailbox_access.test(connection, creates_folder=options["create_done_folder"])
    except MailboxError as error:
        hint = "Use --skip-test to save the mailbox without a test."
        raise click.ClickException(f"The test failed: {error}. {hint}") from None


@mailboxes_group.command("list")
@_ACCOUNT
def list_mailboxes(account: str) -> None:
    """List the mailboxes of an account with their status."""
    for row in mailboxes.search(accounts.find(account).id):
        print(ids.public("mbx", row.id), *_details(row), sep="  ")


@mailboxes_group.command("show")
@_ACCOUNT
@click.argument("mailbox_id")
def show(account: str, mailbox_id: str) -> None:
    """Show a mailbox, and the mails that could not be imported with the reasons."""
    row = mailboxes.find(accounts.find(account).id, _id(mailbox_id))
    print(mailbox_id, *_details(row), sep="\n")
    for name, reason in (row.skipped or {}).items():
        print(f"skipped {name}: {reason}")


def _details(row: ReportMailbox) -> Iterator[str]:
    yield f"{row.username} at {row.host}, {row.folder}"
    if row.paused_at:
        yield "paused"
    polled = row.polled_at.isoformat(timespec="seconds") if row.polled_at else None
    yield f"last polled {polled}" if polled else "never polled"
    yield f"{row.imported_count} imported"
    if row.authserv_id:
        yield f"trusts {row.authserv_id}"
    if row.too_large:
        yield f"{row.too_large} too large"
    if row.skipped:
        yield f"{len(row.skipped)} skipped"
    if row.read_count:
        yield f"{row.read_count} read"
    if row.failure:
        yield row.failure


@mailboxes_group.command("pause")
@_ACCOUNT
@click.argument("mailbox_id")
def pause(account: str, mailbox_id: str) -> None:
    """Stop fetching from a mailbox until it is resumed."""
    mailboxes.pause(accounts.find(account).id, _id(mailbox_id), actor=OPERATOR)


@mailboxes_group.command("resume")
@_ACCOUNT
@click.argument("mailbox_id")
def resume(account: str, mailbox_id: str) -> None:
    """Fetch from a paused mailbox again."""
    mailboxes.resume(accounts.find(account).id, _id(mailbox_id), actor=OPERATOR)


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
@click.option("--dry-run", is_flag=True, help="Show what would be fetched; nothing changes.")
@click.argument("mailbox_id")
def pull(mailbox_id: str, dry_run: bool) -> None:
    """Fetch reports from a mailbox now."""
    row = mailboxes.find_any(_id(mailbox_id))
    if dry_run:
        _preview(row)
        return
    if row.paused_at:
        raise click.ClickException(f"{mailbox_id} is paused. Resume it to fetch reports.")
    result = mailboxes.poll(row.id, current_app.extensions["network"], is_forced=True)
    if result is None:
        raise click.ClickException(f"Not found: {mailbox_id}")
    print(
        f"{result.imported_count} imported, {result.duplicate_count} duplicates, "
        f"{result.too_large} too large, {len(result.skipped)} skipped"
    )
    for name, reason in result.skipped.items():
        print(f"skipped {name}: {reason}")
    _print_read_count(result.read_count)
    if result.failure:
        raise click.ClickException(result.failure)


def _preview(row: ReportMailbox) -> None:
    try:
        preview = mailbox_access.preview(
            mailbox_access.connection_of(row, current_app.extensions["network"])
        )
    except MailboxError as error:
        raise click.ClickException(str(error)) from None
    for message in preview.messages:
        outcome = f"skipped: {message.reason}" if message.reason else "would be fetched"
        print(f"{message.name}  {message.size_bytes} bytes  {outcome}")
    print(f"{len(preview.messages)} messages. Nothing was changed.")
    _print_read_count(preview.read_count)


def _print_read_count(count: int | None) -> None:
    if count:
        print(f"{count} read messages are left alone.")


def _id(text: str) -> UUID:
    mailbox_id = ids.parse("mbx", text)
    if mailbox_id is None:
        raise click.BadParameter("expected format: mbx_…")
    return mailbox_id
