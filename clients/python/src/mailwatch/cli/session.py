"""The client of a command."""

from mailwatch.cli import config
from mailwatch.client import Client


def connect(*, needs_key: bool = True) -> Client:
    """Return a client of the service that the user logged in to.

    needs_key  False for requests that are sent without an API key
    raises     NoLogin
    """
    login = config.current(needs_key=needs_key)
    return Client(login.url, login.key)
