"""``/.well-known/security.txt`` by RFC 9116."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from pydantic import ValidationError

from app import settings as app_settings
from app.settings import Settings

PATH = "/.well-known/security.txt"


def test_security_txt_does_not_exist_without_a_contact(app: Flask) -> None:
    assert app.test_client().get(PATH).status_code == 404


def test_security_txt_has_contacts_expiry_and_canonical_url(app: Flask, settings: Settings) -> None:
    contacts = "security@example.com, https://example.com/report"
    app_settings.use(
        settings.replace(security_contact=contacts, base_url="https://mailwatch.example.com")
    )
    response = app.test_client().get(PATH)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    fields = [line.split(": ", 1) for line in response.text.splitlines()]
    values = dict(fields)
    assert [value for name, value in fields if name == "Contact"] == [
        "mailto:security@example.com",
        "https://example.com/report",
    ]
    expires = datetime.fromisoformat(values["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=365)
    assert values["Canonical"] == f"https://mailwatch.example.com{PATH}"


def test_url_without_tls_is_not_canonical(app: Flask, settings: Settings) -> None:
    app_settings.use(settings.replace(security_contact=("mailto:a@example.com",)))
    assert "Canonical" not in app.test_client().get(PATH).text


@pytest.mark.parametrize(
    "text", ["not an address", "http://example.com", "a@b\nExpires: never", "a@b c"]
)
def test_invalid_contact_is_refused(text: str, settings: Settings) -> None:
    with pytest.raises(ValidationError, match="security_contact"):
        settings.replace(security_contact=text)
