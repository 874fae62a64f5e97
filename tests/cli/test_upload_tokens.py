"""The commands `flask upload-tokens`."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy.engine import Engine

from app.services.api_keys import upload_tokens
from app.settings import Settings
from tests.support.factories import make_account, make_app

Run = Callable[..., str]


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app = make_app(database, settings)
    make_account("Acme")

    def invoke(*arguments: str, status: int = 0) -> str:
        result = app.test_cli_runner().invoke(args=["upload-tokens", *arguments])
        assert result.exit_code == status, result.output
        return result.output

    return invoke


def test_token_is_created_listed_and_revoked(run: Run) -> None:
    created = run("create", "--account", "Acme", "--name", "mail server")
    [token] = re.findall(r"mu_[0-9A-Za-z]{50}", created)
    assert upload_tokens.authenticate(token) is not None
    listed = run("list", "--account", "Acme")
    assert token not in listed
    assert f"{token[3:15]}  active  never expires" in listed
    run("revoke", "--account", "Acme", token[3:15])
    assert upload_tokens.authenticate(token) is None
    assert "revoked" in run("list", "--account", "Acme")


def test_upload_token_error_is_a_sentence(run: Run) -> None:
    run("revoke", "--account", "Acme", "unknown", status=1)
    past = ("create", "--account", "Acme", "--name", "x", "--expires", "2020-01-01")
    assert "expiresAt" in run(*past, status=1)
