"""The command ``mailwatch`` finds the service and the key, and keeps the key private."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailwatch.cli import config
from mailwatch.cli.config import Login, NoLogin
from mailwatch.cli.program import app
from tests.support.scripted_api import Response, answering

ME = {"name": "ci", "account": {"id": "acc_1", "name": "Acme"}, "scopes": ["domains:read"]}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (config.URL, config.KEY):
        monkeypatch.delenv(name, raising=False)


def test_login_stores_the_key_in_a_file_that_only_the_user_reads() -> None:
    with answering([Response(200, {"data": ME})]) as api:
        result = CliRunner().invoke(app, ["login"], input=f"{api.url}/\nmp_secret\n")
    assert result.exit_code == 0, result.output
    assert "mp_secret" not in result.output
    assert api.requests[0].headers["authorization"] == "Bearer mp_secret"
    assert json.loads(config.path().read_text()) == {"url": api.url, "key": "mp_secret"}
    assert stat.S_IMODE(config.path().stat().st_mode) == 0o600
    assert stat.S_IMODE(config.path().parent.stat().st_mode) == 0o700


def test_key_that_the_service_refuses_is_not_stored() -> None:
    error = {"code": "unauthorized", "message": "no", "status": 401, "requestId": "r"}
    with answering([Response(401, {"error": error})]) as api:
        result = CliRunner().invoke(app, ["login", "--url", api.url, "--key", "mp_x"])
    assert result.exit_code != 0
    assert not config.path().exists()


def test_environment_variables_override_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config.store(Login("https://a.example", "mp_a"))
    assert config.current() == Login("https://a.example", "mp_a")
    monkeypatch.setenv(config.KEY, "mp_b")
    assert config.current() == Login("https://a.example", "mp_b")
    monkeypatch.setenv(config.URL, "https://b.example/")
    assert config.current() == Login("https://b.example", "mp_b")


def test_stored_key_is_not_sent_to_another_service(monkeypatch: pytest.MonkeyPatch) -> None:
    config.store(Login("https://a.example", "mp_a"))
    monkeypatch.setenv(config.URL, "https://b.example")
    with pytest.raises(NoLogin, match=r"no API key for https://b\.example"):
        config.current()


def test_missing_and_damaged_files_say_what_to_do() -> None:
    with pytest.raises(NoLogin, match="mailwatch login"):
        config.current()
    config.store(Login("https://a.example", "mp_a"))
    config.path().write_text("{")
    with pytest.raises(NoLogin, match="run `mailwatch login` again"):
        config.current()


@pytest.mark.parametrize("url", ["watch.example", "ftp://watch.example", "https://"])
def test_url_without_a_host_is_refused(url: str) -> None:
    result = CliRunner().invoke(app, ["login", "--url", url, "--key", "mp_x"])
    assert result.exit_code == 2
    assert "expected a URL" in result.output


def test_logout_deletes_the_file() -> None:
    config.store(Login("https://a.example", "mp_a"))
    assert CliRunner().invoke(app, ["logout"]).output == "Logged out\n"
    assert not config.path().exists()
