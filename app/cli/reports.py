"""The commands about reports: addresses that take them in, files, and what became of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click
from flask import Flask

from app import ids
from app.cli.base import OPERATOR, Command, Commands, span
from app.errors import NotFound, QuotaExceeded
from app.mailboxes import files
from app.mailboxes.files import Item, TooLarge
from app.models import IngestToken
from app.models.reports import STATUSES
from app.services.accounts import accounts
from app.services.ingest import conflicts, tokens
from app.services.ingest import files as ingest_files
from app.services.ingest.files import ReportFileFilter

tokens_group = Commands("ingest-tokens", help="The addresses that reports are sent to.")
intake_group = Commands("intake", help="Files of reports, and what became of them.")

_ACCOUNT = click.option("--account", required=True, help="Its name or id.")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    for command in (tokens_group, intake_group, ingest):
        app.cli.add_command(command)


@tokens_group.command("create")
@_ACCOUNT
def create_token(account: str) -> None:
    """Make an address for reports."""
    _print(tokens.create(accounts.find(account).id, actor=OPERATOR))


@tokens_group.command("list")
@_ACCOUNT
def list_tokens(account: str) -> None:
    """List the account's addresses, newest first."""
    for token in tokens.search(accounts.find(account).id):
        _print(token)


@tokens_group.command("rotate")
@_ACCOUNT
@click.option("--overlap", default="7d", show_default=True, help="How long the old one goes on.")
@click.argument("token")
def rotate_token(account: str, overlap: str, token: str) -> None:
    """Make a new address; the old one (its id or token) ends after the overlap."""
    account_id = accounts.find(account).id
    _print(tokens.rotate(account_id, token, span(overlap), actor=OPERATOR))


@tokens_group.command("revoke")
@_ACCOUNT
@click.argument("token")
def revoke_token(account: str, token: str) -> None:
    """Take nothing in at an address (its id or token) from now on."""
    _print(tokens.revoke(accounts.find(account).id, token, actor=OPERATOR))


@click.command("ingest", cls=Command)
@_ACCOUNT
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def ingest(account: str, paths: Sequence[Path]) -> None:
    """Take in files of reports: single ones, folders, mbox files, Maildirs."""
    account_id = accounts.find(account).id
    items = list(files.find(paths))
    new, known, failed = 0, 0, list[str]()
    full: QuotaExceeded | None = None
    with click.progressbar(items, label="taking in", item_show_func=_name) as bar:
        for item in bar:
            try:
                taken = ingest_files.store(
                    account_id, item.read(), received_via="cli", file_name=item.name
                )
                new, known = new + taken.is_new, known + (not taken.is_new)
            except (OSError, TooLarge) as error:
                failed.append(f"{item.name}: {error}")
            except QuotaExceeded as error:
                full = error
                break
    print(f"{new} taken in, {known} known already, {len(failed)} not readable")
    print(*failed, sep="\n", end="\n" if failed else "")
    if full:
        left = len(items) - new - known - len(failed)
        raise click.ClickException(f"{full.message}; {left} are left. The same command goes on.")
    if failed:
        raise SystemExit(1)


@intake_group.command("list")
@_ACCOUNT
@click.option("--state", type=click.Choice(STATUSES))
@click.option("--reason")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
def list_intakes(account: str, state: str | None, reason: str | None, limit: int) -> None:
    """List files, newest first, with what became of them."""
    filters = ReportFileFilter(status=state, reason=reason)
    rows, _ = ingest_files.search(accounts.find(account).id, filters).page(None, limit)
    for row in rows:
        words = (row.state, row.reason, row.about, row.file_name, row.member, row.detail)
        print(
            ids.public("int", row.id),
            row.received_at.isoformat(timespec="seconds"),
            *(word for word in words if word),
            sep="  ",
        )


@intake_group.command("retry")
@click.option("--reason", help="All files with this reason, of every account.")
@click.argument("report_file_id", required=False)
def retry_intakes(reason: str | None, report_file_id: str | None) -> None:
    """Have files read again that are quarantined or unattributed: one, or all with a reason."""
    if (reason is None) == (report_file_id is None):
        raise click.UsageError("Give either an id or --reason")
    print(f"{ingest_files.retry(_report_file_id(report_file_id), reason)} will be read again")


@intake_group.command("use")
@_ACCOUNT
@click.argument("report_file_id")
def use_report(account: str, report_file_id: str) -> None:
    """Count the report of a file in conflict instead of the one that it contradicts."""
    found = _report_file_id(report_file_id)
    if found is None:
        raise NotFound
    conflicts.use(accounts.find(account).id, found, actor=OPERATOR)
    print(f"{report_file_id} will be used")


@intake_group.command("counts")
@click.option("--account", help="Its name or id; all accounts without.")
def count_intakes(account: str | None) -> None:
    """How many files there are by state and reason."""
    for row in ingest_files.counts(accounts.find(account).id if account else None):
        print(f"{row.number:8}  {row.state:12}  {row.reason or ''}".rstrip())


def _report_file_id(text: str | None) -> UUID | None:
    if text is None:
        return None
    found = ids.parse("int", text)
    if found is None:
        raise NotFound
    return found


def _name(item: Item | None) -> str:
    return item.name if item else ""


def _print(token: IngestToken) -> None:
    is_usable = tokens.is_usable(token, datetime.now(UTC))
    state = "active" if is_usable else "revoked" if token.revoked_at else "expired"
    ends = token.expires_at.isoformat(timespec="seconds") if token.expires_at else "no end"
    print(f"{ids.public(tokens.PREFIX, token.id)}  {state}  {ends}")
    print(f"  reports  {tokens.address(token.token)}")
    print(f"  TLS-RPT  {tokens.tls_address(token.token)}")
