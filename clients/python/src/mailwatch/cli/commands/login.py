"""``mailwatch login``, ``mailwatch logout`` and ``mailwatch whoami``."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from mailwatch.cli import config, output, session
from mailwatch.cli.config import Login
from mailwatch.client import Client

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)


def login(
    url: Annotated[str, typer.Option(prompt="URL of the service", help="The service.")],
    key: Annotated[
        str, typer.Option(prompt="API key", hide_input=True, help="The API key; - reads a line.")
    ],
) -> None:
    """Store the URL of the service and an API key in a file that only you can read."""
    key = input() if key == "-" else key
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("expected a URL such as https://mailwatch.example.com")
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        output.complain("Warning: the API key is sent without encryption. Use https if you can.")
    with Client(url, key.strip()) as client:
        me = client.me.get()
    file = config.store(Login(url, key.strip()))
    output.say(f"Logged in to {url} with the key {me['name']!r}; stored in {file}")


def logout() -> None:
    """Delete the stored URL and API key. The key stays valid until you revoke it."""
    output.say("Logged out" if config.remove() else "You were not logged in")


def whoami(
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the account, and the API key with its scopes."""
    with session.connect() as client:
        me = client.me.get()
    if is_json:
        output.as_json(me)
    else:
        output.say(f"Account: {me['account']['name']}")
        output.say(f"Key: {me['name']} ({', '.join(me['scopes'])})")
