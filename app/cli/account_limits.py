"""``flask accounts limits``: show and change the limits of an account."""

import click

from app.cli.base import OPERATOR, Command
from app.services.accounts import accounts
from app.services.api_keys import account_limits
from app.services.api_keys.account_limits import Changes


@click.command("limits", cls=Command)
@click.option("--rate-limit", help="API requests of all API keys together, like '1000 per minute'.")
@click.option("--max-api-keys", help="Maximum number of active API keys.")
@click.option("--concurrent-evaluations", help="Concurrent calls of POST /v1/checks/evaluate.")
@click.option("--concurrent-exports", help="Concurrent CSV and NDJSON exports.")
@click.argument("account")
def limits(
    rate_limit: str | None,
    max_api_keys: str | None,
    concurrent_evaluations: str | None,
    concurrent_exports: str | None,
    account: str,
) -> None:
    """Show and change the limits of an account.

    The value 'default' restores the value of the setting.
    """
    changes = Changes(
        rate_limit=rate_limit,
        max_api_keys=max_api_keys,
        concurrent_evaluations=concurrent_evaluations,
        concurrent_exports=concurrent_exports,
    )
    current = account_limits.change(accounts.find(account).id, changes, actor=OPERATOR)
    print(f"API requests            {current.rate_limit}")
    print(f"active API keys         {current.max_api_keys}")
    print(f"concurrent evaluations  {current.concurrent_evaluations}")
    print(f"concurrent exports      {current.concurrent_exports}")
