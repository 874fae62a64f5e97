"""The ``flask mailboxes`` commands: mailboxes that reports are fetched from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import Flask, current_app

from app import ids
from app.cli.base import JSON, OPERATOR, Commands, iso, print_json
from app.mailboxes.config import MailboxConfig
from app.mailboxes.options import InvalidOptions, Kind, Option
from app.mailboxes.registry import MAILBOX_TYPES
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.ports.network import Network
from app.protocols.quantities import quantity
from app.services.accounts import accounts
from app.services.mailboxes import access, mailboxes, polling
from app.services.mailboxes.access import Connection, TokenStore

mailboxes_group = Commands("mailboxes", help="Manage mailboxes that reports are fetched from.")

_ACCOUNT = click.option("--account", required=True, help="Name or id of the account.")
_AUTHSERV_ID = click.option(
    "--authserv-id", help="Trust Authentication-Results fields that begin with this server name."
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(mailboxes_group)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _all_options() -> Mapping[str, list[tuple[str, Option]]]:
    """Return the options of all types by name, each with the labels of its types."""
    options: dict[str, list[tuple[str, Option]]] = {}
    for config_type in MAILBOX_TYPES.values():
        for name, option in config_type.options().items():
            options.setdefault(name, []).append((config_type.type, option))
    return options


def _type_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all mailbox types; secrets are prompted for.

    They are not options of the command: other users of the machine can read the arguments of
    a process. The text of a long option is read from a file.
    """
    command = click.option("--skip-test", is_flag=True, help="Do not connect to test it.")(command)
    command = click.option("--dry-run", is_flag=True, help="Test it, and store nothing.")(command)
    for name, uses in reversed(list(_all_options().items())):
        option = uses[0][1]
        if option.kind is Kind.SECRET:
            continue
        types = ", ".join(type for type, _ in uses)
        text = f"{option.label.removesuffix(' (optional)')} ({types})."
        if option.kind is Kind.LONG_TEXT:
            path = click.Path(exists=True, dir_okay=False, path_type=Path)
            command = click.option(_flag(name) + "-file", name, type=path, help=text)(command)
        else:
            choices = {choice for _, use in uses for choice in use.choices or ()}
            kind = click.Choice(sorted(choices)) if choices else None
            command = click.option(_flag(name), name, type=kind, help=text)(command)
    return command


@mailboxes_group.command("add")
@_ACCOUNT
@click.option("--type", "type_name", type=click.Choice(list(MAILBOX_TYPES)), default="imap")
@_type_options
@_AUTHSERV_ID
def add(account: str, type_name: str, authserv_id: str | None, **options: Any) -> None:
    """Fetch reports from a mailbox. The command prompts for passwords and other secrets."""
    account_id = accounts.find(account).id
    config_type = MAILBOX_TYPES[type_name]
    texts = _texts(config_type, options)
    for name, item in config_type.fields().items():
        is_secret = config_type.options()[name].kind is Kind.SECRET
        if not is_secret and item.default is MISSING and name not in texts:
            raise click.UsageError(f"Missing option '{_flag(name)}'.")
    config = _checked(config_type, texts | _prompted(config_type))
    tokens = TokenStore()
    _test(Connection(config=config, is_private=True, network=_network(), tokens=tokens), options)
    if options["dry_run"]:
        return
    row = mailboxes.add(account_id, config, actor=OPERATOR, is_private=True, tokens=tokens)
    if authserv_id:
        mailboxes.trust_server(account_id, row.id, authserv_id, actor=OPERATOR)
    print(f"{ids.public('mbx', row.id)}  {mailboxes.name_of(row)}")


@mailboxes_group.command("edit")
@_ACCOUNT
@_type_options
@click.option("--secrets", is_flag=True, help="Prompt for a new password or other new secrets.")
@click.argument("mailbox_id")
def edit(account: str, mailbox_id: str, secrets: bool, **options: Any) -> None:
    """Change the options that are given; the others stay as they are. "" clears an option."""
    account_id = accounts.find(account).id
    row = mailboxes.find(account_id, _id(mailbox_id))
    stored = access.config_of(row)
    config_type = type(stored)
    texts = {name: "" if v is None else str(v) for name, v in stored.public().items()}
    texts |= stored.secrets() | _texts(config_type, options)
    if secrets:
        texts |= _prompted(config_type)
    config = _checked(config_type, texts)
    _test(
        Connection(config=config, is_private=True, network=_network(), tokens=TokenStore(row)),
        options,
    )
    if options["dry_run"]:
        return
    row = mailboxes.change(account_id, row.id, config, actor=OPERATOR, is_private=True)
    print(f"{mailbox_id}  {mailboxes.name_of(row)}")


def _texts(config_type: type[MailboxConfig], options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a type that were given, by name."""
    texts = {}
    for name in _all_options():
        value = options.get(name)
        if value is None:
            continue
        if name not in config_type.options():
            raise click.UsageError(f"{_flag(name)} is no option of the type {config_type.type}.")
        texts[name] = _content(value) if isinstance(value, Path) else value
    return texts


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"{path} cannot be read as text") from None


def _prompted(config_type: type[MailboxConfig]) -> dict[str, str]:
    """Return the secrets that a person typed."""
    return {
        name: click.prompt(
            option.label,
            hide_input=True,
            default=None if option.is_required else "",
            show_default=False,
        )
        for name, option in config_type.options().items()
        if option.kind is Kind.SECRET
    }


def _checked(config_type: type[MailboxConfig], texts: Mapping[str, str]) -> MailboxConfig:
    try:
        return config_type.parsed(texts).checked()
    except InvalidOptions as error:
        raise access.invalid_request(error) from None


def _test(connection: Connection, options: Mapping[str, Any]) -> None:
    """Connect and open the mailbox, unless the test is skipped."""
    if options["skip_test"]:
        return
    try:
        count = access.test(connection)
    except MailboxError as error:
        hint = "Use --skip-test to save the mailbox without a test."
        raise click.ClickException(f"The test failed: {error}. {hint}") from None
    if options["dry_run"]:
        messages = "" if count is None else f" The mailbox has {quantity(count, 'message')}."
        print(f"The test passed.{messages} Nothing was changed.")


def _network() -> Network:
    network: Network = current_app.extensions["network"]
    return network


@mailboxes_group.command("list")
@_ACCOUNT
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
@_ACCOUNT
@JSON
@click.argument("mailbox_id")
def show(account: str, mailbox_id: str, as_json: bool) -> None:
    """Show a mailbox, and the mails that could not be imported with the reasons."""
    row = mailboxes.find(accounts.find(account).id, _id(mailbox_id))
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
    """Stop fetching from a mailbox, and delete its secrets."""
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


def _id(text: str) -> UUID:
    mailbox_id = ids.parse("mbx", text)
    if mailbox_id is None:
        raise click.BadParameter("expected format: mbx_…")
    return mailbox_id
