"""``mailwatch mcp``: a bridge for assistants that only start commands."""

import typer

from mailwatch import mcp_bridge
from mailwatch.cli import config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mcp)


def mcp() -> None:
    """Connect an assistant to the service: MCP over standard input and output."""
    login = config.current()
    mcp_bridge.serve(login.url, login.key)
