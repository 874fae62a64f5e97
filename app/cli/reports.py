"""The ``flask ingest-tokens`` and ``flask files`` commands."""

from uuid import UUID

import click
from flask import Flask

from app import ids, wall_clock
from app.cli.base import ACCOUNT, JSON, OPERATOR, Commands, iso, parse_duration, print_json
from app.cli.ingest import ingest
from app.errors import NotFound
from app.models import IngestToken
from app.models.reports import STATUSES
from app.services.accounts import accounts
from app.services.filing import conflicts, retries
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter

tokens_group = Commands("ingest-tokens", help="Manage the addresses that reports are sent to.")
files_group = Commands("files", help="Show and retry report files.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    for command in (tokens_group, files_group, ingest):
        app.cli.add_command(command)


@tokens_group.command("create")
@ACCOUNT
def create_token(account: str) -> None:
    """Create a report address."""
    _print(tokens.create(accounts.find(account).id, actor=OPERATOR))


@tokens_group.command("list")
@ACCOUNT
@JSON
def list_tokens(account: str, as_json: bool) -> None:
    """List the report addresses of an account, newest first."""
    rows = tokens.search(accounts.find(account).id)
    if as_json:
        print_json(
            [
                {
                    "id": ids.public(tokens.PREFIX, row.id),
                    "status": row.status(wall_clock.now()),
                    "address": tokens.address(row.token),
                    "tlsRecord": tokens.tls_line(row.token),
                    "createdAt": iso(row.created_at),
                    "expiresAt": iso(row.expires_at),
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        _print(row)


@tokens_group.command("rotate")
@ACCOUNT
@click.option(
    "--overlap", default="7d", show_default=True, help="How long the old address stays valid."
)
@click.argument("token")
def rotate_token(account: str, overlap: str, token: str) -> None:
    """Create a new address. The old one (id or token) expires after the overlap."""
    account_id = accounts.find(account).id
    _print(tokens.rotate(account_id, token, parse_duration(overlap), actor=OPERATOR))


@tokens_group.command("revoke")
@ACCOUNT
@click.argument("token")
def revoke_token(account: str, token: str) -> None:
    """Reject reports at an address, given by its id or token."""
    _print(tokens.revoke(accounts.find(account).id, token, actor=OPERATOR))


@files_group.command("list")
@ACCOUNT
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--reason")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@JSON
def list_files(
    account: str, status: str | None, reason: str | None, limit: int, as_json: bool
) -> None:
    """List report files with their status, newest first."""
    filters = ReportFileFilter(status=status, reason=reason)
    rows, _ = ingest_files.search(accounts.find(account).id, filters).page(None, limit)
    if as_json:
        print_json(
            [
                {
                    "id": ids.public("file", row.id),
                    "receivedAt": iso(row.received_at),
                    "status": row.status,
                    "reason": row.reason,
                    "detail": row.detail,
                    "policyDomain": row.policy_domain,
                    "fileName": row.file_name,
                    "entry": row.entry,
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        details = (row.status, row.reason, row.policy_domain, row.file_name, row.entry, row.detail)
        print(
            ids.public("file", row.id),
            row.received_at.isoformat(timespec="seconds"),
            *(detail for detail in details if detail),
            sep="  ",
        )


@files_group.command("retry")
@click.option("--reason", help="Retry all files with this reason, in all accounts.")
@click.option("--partial", is_flag=True, help="Retry all files of partial reports.")
@click.argument("report_file_id", required=False)
def retry_files(reason: str | None, partial: bool, report_file_id: str | None) -> None:
    """Process files again: one file, all with a reason, or those of partial reports.

    Only rejected and unattributed files, and files of partial reports, are processed again.
    """
    if [reason is not None, partial, report_file_id is not None].count(True) != 1:
        raise click.UsageError("Provide either an id, --reason or --partial.")
    reason = retries.PARTIAL if partial else reason
    print(f"{retries.retry(_report_file_id(report_file_id), reason)} queued for processing")


@files_group.command("use")
@ACCOUNT
@click.argument("report_file_id")
def use_report(account: str, report_file_id: str) -> None:
    """Use the report of a file in conflict instead of the other one."""
    file_id = _report_file_id(report_file_id)
    if file_id is None:
        raise NotFound
    conflicts.use(accounts.find(account).id, file_id, actor=OPERATOR)
    print(f"The report of {report_file_id} is used.")


@files_group.command("counts")
@click.option("--account", help="Name or id of the account; default: all accounts.")
@JSON
def count_files(account: str | None, as_json: bool) -> None:
    """Count report files by status and reason."""
    rows = ingest_files.counts(accounts.find(account).id if account else None)
    if as_json:
        print_json(
            [{"status": row.status, "reason": row.reason, "count": row.number} for row in rows]
        )
        return
    for row in rows:
        print(f"{row.number:8}  {row.status:12}  {row.reason or ''}".rstrip())


def _report_file_id(text: str | None) -> UUID | None:
    if text is None:
        return None
    report_file_id = ids.parse("file", text)
    if report_file_id is None:
        raise NotFound
    return report_file_id


def _print(token: IngestToken) -> None:
    expires = token.expires_at.isoformat(timespec="seconds") if token.expires_at else None
    print(
        ids.public(tokens.PREFIX, token.id),
        token.status(wall_clock.now()),
        f"expires {expires}" if expires else "never expires",
        sep="  ",
    )
    print(f"  reports  {tokens.address(token.token)}")
    print(f"  TLS-RPT  {tokens.tls_line(token.token)}")
