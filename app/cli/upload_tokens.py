"""The commands about upload tokens."""

from datetime import UTC, datetime

import click
from flask import Flask

from app.cli.base import OPERATOR, Commands, moment
from app.services.accounts import accounts
from app.services.api_keys import upload_tokens

upload_tokens_group = Commands("upload-tokens", help="Secret tokens for uploading reports.")

_ACCOUNT = click.option("--account", required=True, help="Its name or id.")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    app.cli.add_command(upload_tokens_group)


@upload_tokens_group.command("create")
@_ACCOUNT
@click.option("--name", required=True, help="What will use it.")
@click.option("--expires", help="A date or time in UTC; the token never expires without one.")
def create_token(account: str, name: str, expires: str | None) -> None:
    """Create an upload token; it is printed once."""
    account_id = accounts.find(account).id
    row, token = upload_tokens.issue(account_id, name, actor=OPERATOR, expires_at=moment(expires))
    print(f"{row.token_id}  {row.name}")
    print(f"token (shown only once): {token}")


@upload_tokens_group.command("list")
@_ACCOUNT
def list_tokens(account: str) -> None:
    """List the account's upload tokens, newest first."""
    now = datetime.now(UTC)
    for row in upload_tokens.search(accounts.find(account).id):
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
@_ACCOUNT
@click.argument("token")
def revoke_token(account: str, token: str) -> None:
    """Refuse uploads with a token (its 12-character id) from now on."""
    row = upload_tokens.revoke(accounts.find(account).id, token, actor=OPERATOR)
    print(f"{row.token_id}  revoked")
