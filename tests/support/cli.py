"""The operator commands, run in a process of the test."""

import re

from click.testing import Result
from flask import Flask


def run(app: Flask, *arguments: str, status: int = 0) -> str:
    """Return the output of the command."""
    result: Result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == status, result.output
    return result.output


def token_in(output: str) -> str:
    match = re.search(r"mp_\w+", output)
    assert match is not None, output
    return match[0]
