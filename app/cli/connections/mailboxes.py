"""The ``flask mailboxes`` commands: mailboxes that reports are fetched from."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from flask import Flask, current_app

from app import ids
from app.cli.base import ACCOUNT, JSON, OPERATOR, Commands, iso, print_json
from app.cli.connections import options
from app.cli.connections.managed import Managed, add_commands
from app.mailboxes.registry import MAILBOX_TYPES
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.ports.network import Network
from app.protocols.quantities import quantity
from app.services.accounts import accounts
from app.services.mailboxes import access, mailboxes, polling
from app.services.mailboxes.access import Connection, TokenStore

mailboxes_group = Commands("mailboxes", help="Manage mailboxes that reports are fetched from.")

_AUTHSERV_ID = click.option(
    "--authserv-id", help="Trust Authentication-Results fields that begin with this server name."
)


MANAGED = Managed(
    group=mailboxes_group,
    noun="mailbox",
    prefix="mbx",
    service=mailboxes,
    name_of=lambda row: access.public_config_of(row).title,
    type_of=lambda row: str(row.type),
    paused="No reports are fetched from it.",
    resumed="Reports are fetched from it within a minute.",
    removed="Its passwords and keys are deleted too. Reports that were imported stay.",
)
_TEST_OPTIONS = (
    click.option("--skip-test", is_flag=True, help="Do not connect to test it."),
    click.option("--dry-run", is_flag=True, help="Test it, and store nothing."),
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(mailboxes_group)


def _type_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all mailbox types, and those of the test."""
    for option in _TEST_OPTIONS:
        command = option(command)
    return options.type_options(MAILBOX_TYPES)(command)


@mailboxes_group.command("types")
def list_types() -> None:
    """List the types of mailboxes with their options."""
    options.print_types(MAILBOX_TYPES.values())


@mailboxes_group.command("add")
@ACCOUNT
@click.option("--type", "type_name", type=click.Choice(list(MAILBOX_TYPES)), default="imap")
@_type_options
@_AUTHSERV_ID
def add(account: str, type_name: str, authserv_id: str | None, **values: Any) -> None:
    """Fetch reports from a mailbox. The command prompts for passwords and other secrets."""
    account_id = accounts.find(account).id
    config = options.new(MAILBOX_TYPES, type_name, values)
    tokens = TokenStore()
    _test(Connection(config=config, is_private=True, network=_network(), tokens=tokens), values)
    if values["dry_run"]:
        return
    row = mailboxes.add(account_id, config, actor=OPERATOR, is_private=True, tokens=tokens)
    if authserv_id:
        mailboxes.trust_server(account_id, row.id, authserv_id, actor=OPERATOR)
    print(f"{ids.public('mbx', row.id)}  {mailboxes.name_of(row)}")


@mailboxes_group.command("edit")
@ACCOUNT
@_type_options
@click.option("--secrets", is_flag=True, help="Prompt for a new password or other new secrets.")
@click.argument("mailbox_id")
def edit(account: str, mailbox_id: str, secrets: bool, **values: Any) -> None:
    """Change the options that are given; the others stay as they are. "" clears an option."""
    row = MANAGED.find(account, mailbox_id)
    stored = access.config_of(row)
    config = options.changed(MAILBOX_TYPES, stored, values, has_new_secrets=secrets)
    tokens = TokenStore(row, is_changed=True)
    _test(Connection(config=config, is_private=True, network=_network(), tokens=tokens), values)
    if values["dry_run"]:
        return
    row = mailboxes.change(row.account_id, row.id, config, actor=OPERATOR, is_private=True)
    tokens.commit()
    print(f"{mailbox_id}  {mailboxes.name_of(row)}")


def _test(connection: Connection, values: Mapping[str, Any]) -> None:
    """Connect and open the mailbox, unless the test is skipped."""
    if values["skip_test"]:
        return
    try:
        count = access.test(connection)
    except MailboxError as error:
        hint = "Use --skip-test to save the mailbox without a test."
        raise click.ClickException(f"The test failed: {error}. {hint}") from None
    if values["dry_run"]:
        messages = "" if count is None else f" The mailbox has {quantity(count, 'message')}."
        print(f"The test passed.{messages} Nothing was changed.")


def _network() -> Network:
    network: Network = current_app.extensions["network"]
    return network


@mailboxes_group.command("list")
@ACCOUNT
@JSON
def list_mailboxes(account: str, as_json: bool) -> None:
    """List the mailboxes of an account with their status."""
    rows = mailboxes.search(accounts.find(account).id)
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    for row in rows:
        print(ids.public("mbx", row.id), *_details(row), sep="  ")


@mailboxes_group.command("show")
@ACCOUNT
@JSON
@click.argument("mailbox_id")
def show(account: str, mailbox_id: str, as_json: bool) -> None:
    """Show a mailbox, and the mails that could not be imported with the reasons."""
    row = MANAGED.find(account, mailbox_id)
    if as_json:
        print_json(_as_json(row) | {"skipped": row.skipped or {}})
        return
    print(mailbox_id, *_details(row), sep="\n")
    for name, reason in (row.skipped or {}).items():
        print(f"skipped {name}: {reason}")


def _as_json(row: ReportMailbox) -> dict[str, Any]:
    return {
        "id": ids.public("mbx", row.id),
        "type": row.type,
        "name": mailboxes.name_of(row),
        "pausedAt": iso(row.paused_at),
        "polledAt": iso(row.polled_at),
        "trustedServer": row.authserv_id,
        "importedCount": row.imported_count,
        "tooLargeCount": row.too_large or 0,
        "skippedCount": len(row.skipped or {}),
        "readCount": row.read_count or 0,
        "failure": row.failure,
    }


def _details(row: ReportMailbox) -> Iterator[str]:
    yield mailboxes.name_of(row)
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


add_commands(MANAGED)


@mailboxes_group.command("trust-server")
@ACCOUNT
@_AUTHSERV_ID
@click.argument("mailbox_id")
def trust_server(account: str, authserv_id: str | None, mailbox_id: str) -> None:
    """Set the server whose Authentication-Results fields are trusted; without a name, none."""
    row = MANAGED.find(account, mailbox_id)
    row = mailboxes.trust_server(row.account_id, row.id, authserv_id, actor=OPERATOR)
    print(f"{mailbox_id}  trusts {row.authserv_id or 'no server'}")


@mailboxes_group.command("pull")
@click.option("--dry-run", is_flag=True, help="Show what would be fetched; nothing changes.")
@click.argument("mailbox_id")
def pull(mailbox_id: str, dry_run: bool) -> None:
    """Fetch reports from a mailbox now."""
    with MANAGED.expected(mailbox_id):
        row = mailboxes.find_any(MANAGED.parse_id(mailbox_id))
    if dry_run:
        _preview(row)
        return
    if row.paused_at:
        raise click.ClickException(f"{mailbox_id} is paused. Resume it to fetch reports.")
    result = polling.poll(row.id, _network(), is_forced=True)
    if result is None:
        raise click.ClickException(f"Not found: {mailbox_id}")
    print(
        f"{result.imported_count} imported, {quantity(result.duplicate_count, 'duplicate')}, "
        f"{result.too_large} too large, {len(result.skipped)} skipped"
    )
    for name, reason in result.skipped.items():
        print(f"skipped {name}: {reason}")
    _print_read_count(result.read_count)
    if result.failure:
        raise click.ClickException(result.failure)


def _preview(row: ReportMailbox) -> None:
    try:
        preview = access.preview(row, _network())
    except MailboxError as error:
        raise click.ClickException(str(error)) from None
    for message in preview.messages:
        outcome = f"skipped: {message.reason}" if message.reason else "would be fetched"
        print(f"{message.name}  {message.size_bytes} bytes  {outcome}")
    print(f"{quantity(len(preview.messages), 'message')}. Nothing was changed.")
    _print_read_count(preview.read_count)


def _print_read_count(count: int | None) -> None:
    if count:
        print(f"{count} read messages are left alone.")
