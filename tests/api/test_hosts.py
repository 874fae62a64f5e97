"""Which host names are accepted in a request, and that no URL is built from them."""

import re

import click
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import ValidationError

from app import settings as app_settings
from app.cli import init_app
from app.settings import Settings


@pytest.fixture
def client(app: Flask, settings: Settings) -> FlaskClient:
    """A client without a key."""
    app_settings.use(settings.replace(base_url="https://mail.example.org:8443"))
    return app.test_client()


@pytest.mark.parametrize(
    "host",
    ["mail.example.org", "mail.example.org:8443", "MAIL.example.org", "localhost", "127.0.0.1:80"],
)
def test_configured_host_names_are_served(client: FlaskClient, host: str) -> None:
    assert client.get("/docs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "mail.example.org.evil.example", "10.0.0.1", "evil.example@localhost", ""],
)
@pytest.mark.parametrize("path", ["/docs", "/v1/me", "/auth/login", "/nothing"])
def test_other_host_names_are_refused_in_the_error_envelope(
    client: FlaskClient, host: str, path: str
) -> None:
    response = client.get(path, headers={"Host": host})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]["code"] == "invalid_request"
    assert "evil" not in response.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_by_address_are_served(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize("allowed", ["other.example", "*"])
def test_additional_host_names_can_be_allowed(
    client: FlaskClient, settings: Settings, allowed: str
) -> None:
    app_settings.use(settings.replace(allowed_hosts=(allowed,)))
    assert client.get("/docs", headers={"Host": "other.example"}).status_code == 200


def test_reference_shows_the_configured_url(client: FlaskClient) -> None:
    page = client.get("/docs", headers={"Host": "localhost"}).text
    assert "https://mail.example.org:8443/v1/me" in page
    assert "http://localhost" not in page


def test_url_is_not_accepted_as_a_host_name(settings: Settings) -> None:
    hosts = settings.replace(allowed_hosts="a.example, b.example").allowed_hosts
    assert hosts == ("a.example", "b.example")
    with pytest.raises(ValidationError):
        settings.replace(allowed_hosts="https://a.example")


def test_no_command_accepts_a_password_argument() -> None:
    app = Flask("app")
    init_app(app)
    for group in app.cli.commands.values():
        for command in getattr(group, "commands", {"": group}).values():
            for parameter in command.params:
                is_secret = re.search("password|secret", parameter.name or "")
                is_flag = isinstance(parameter, click.Option) and parameter.is_flag
                assert not is_secret or is_flag, (command.name, parameter.name)
