"""The command ``mailwatch``."""

import sys


def main() -> None:
    """Run the command, and exit with a status of ``exits``."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ModuleNotFoundError:
        sys.exit("The command needs more packages: pip install 'mailwatch-client[cli]'")
    from mailwatch.cli import program

    program.main()
