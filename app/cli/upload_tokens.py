"""The ``flask upload-tokens`` commands: secret tokens for uploading reports."""

import click
from flask import Flask

from app import wall_clock
from app.cli.base import ACCOUNT, JSON, OPERATOR, Commands, iso, parse_time, print_json
from app.services.accounts import accounts
from app.services.api_keys import upload_tokens

upload_tokens_group = Commands("upload-tokens", help="Manage secret tokens for uploading reports.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(upload_tokens_group)


@upload_tokens_group.command("create")
@ACCOUNT
@click.option("--name", required=True, help="Name of the system that will use the token.")
@click.option("--expires", help="Date or time in UTC; default: never.")
def create_token(account: str, name: str, expires: str | None) -> None:
    """Create an upload token. It is shown only once."""
    account_id = accounts.find(account).id
    row, token = upload_tokens.issue(
        account_id, name, actor=OPERATOR, expires_at=parse_time(expires)
    )
    print(f"{row.token_id}  {row.name}")
    print(f"token (shown only once): {token}")


@upload_tokens_group.command("list")
@ACCOUNT
@JSON
def list_tokens(account: str, as_json: bool) -> None:
    """List the upload tokens of an account, newest first."""
    now = wall_clock.now()
    rows = upload_tokens.search(accounts.find(account).id)
    if as_json:
        print_json(
            [
                {
                    "id": row.token_id,
                    "name": row.name,
                    "status": row.status(now),
                    "createdAt": iso(row.created_at),
                    "expiresAt": iso(row.expires_at),
                    "lastUsedAt": iso(row.last_used_at),
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        expires = row.expires_at.isoformat(timespec="seconds") if row.expires_at else None
        used = row.last_used_at.isoformat(timespec="seconds") if row.last_used_at else "never"
        print(
            row.token_id,
            row.status(now),
            f"expires {expires}" if expires else "never expires",
            f"last used {used}",
            row.name,
            sep="  ",
        )


@upload_tokens_group.command("revoke")
@ACCOUNT
@click.argument("token")
def revoke_token(account: str, token: str) -> None:
    """Revoke an upload token, given by its 12-character id."""
    row = upload_tokens.revoke(accounts.find(account).id, token, actor=OPERATOR)
    print(f"{row.token_id}  revoked")
