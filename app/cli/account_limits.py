"""``flask accounts limits``: show and change what an account may use."""

import click

from app.cli.base import OPERATOR, Command
from app.services.accounts import accounts
from app.services.api_keys import account_limits
from app.services.api_keys.account_limits import Changes


@click.command("limits", cls=Command)
@click.option("--rate-limit", help="API requests of all its keys, like '1000 per minute'.")
@click.option("--max-api-keys", help="Active API keys.")
@click.option("--concurrent-evaluations", help="Calls of checks/evaluate at the same time.")
@click.option("--concurrent-exports", help="Exports at the same time.")
@click.argument("account")
def limits(
    rate_limit: str | None,
    max_api_keys: str | None,
    concurrent_evaluations: str | None,
    concurrent_exports: str | None,
    account: str,
) -> None:
    """Show the limits of an account, and change them.

    The value 'default' removes a change: the setting applies again.
    """
    changes = Changes(rate_limit, max_api_keys, concurrent_evaluations, concurrent_exports)
    current = account_limits.change(accounts.find(account).id, changes, actor=OPERATOR)
    print(f"API requests            {current.rate_limit}")
    print(f"active API keys         {current.max_api_keys}")
    print(f"concurrent evaluations  {current.concurrent_evaluations}")
    print(f"concurrent exports      {current.concurrent_exports}")
