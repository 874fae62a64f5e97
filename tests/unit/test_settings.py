"""Settings, and the messages for missing and invalid ones."""

import traceback

import pytest

from app.settings import InvalidSettings, Settings

GOOD = {
    "SECRET_KEY": "s" * 32,
    "DATABASE_URL": "postgres://user:word@db/app",
    "REDIS_URL": "redis://localhost:6379/0",
}


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Return the settings of an environment with only these variables."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    return Settings.load()


def test_postgres_url_of_platforms_selects_psycopg_3(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, **GOOD).database_url == "postgresql+psycopg://user:word@db/app"


def test_each_missing_setting_has_its_own_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(monkeypatch)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == list(GOOD)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("127.0.0.1:5300", (("127.0.0.1", 5300),)),
        ("192.0.2.1,2001:db8::1", (("192.0.2.1", 53), ("2001:db8::1", 53))),
        ("[2001:db8::1]:5353", (("2001:db8::1", 5353),)),
    ],
)
def test_name_servers_may_have_ports(
    text: str, servers: tuple[tuple[str, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(monkeypatch, **GOOD, DNS_NAMESERVERS=text).dns_nameservers == servers


def test_hosts_may_have_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "API.example.org=127.0.0.1:8443, b.example.org=[::1]"
    assert load(monkeypatch, **GOOD, EGRESS_CONNECT_TO=text).egress_connect_to == (
        ("api.example.org", "127.0.0.1", 8443),
        ("b.example.org", "::1", 443),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("SECRET_KEY", "short", "must have at least 32 characters."),
        ("SECRET_KEY_PREVIOUS", f"{'k' * 32},short", "must have at least 32 characters."),
        ("DATABASE_URL", "mysql://db/app", "must begin with postgresql:// or sqlite:///."),
        ("REDIS_URL", "http://redis", "must begin with redis://, rediss:// or unix://."),
        ("ALLOWED_HOSTS", "https://a.example", "must be host names like mx.example.org."),
        ("LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'."),
        ("TRUSTED_PROXIES", "-1", "must be at least 0."),
        ("TRUSTED_PROXIES", "two", "must be a whole number."),
        ("RATE_LIMIT", "many", "must have the form '100 per minute'."),
        ("INGEST_BYTES_PER_DAY", "0", "must be at least 1."),
        ("DNS_QUERY_SECONDS", "0", "must be above 0."),
        ("DNS_QUERY_SECONDS", "nan", "must be a number."),
        ("SCAN_LEASE_SECONDS", "-3", "must be a number of seconds above 0."),
        ("STARTTLS_PROBES", "maybe", "must be on or off."),
        ("EGRESS_PORTS", "443,65536", "must be at most 65535."),
        ("DELIVERY_SCHEDULE", "0,later", "must be a number."),
        ("DOMAIN_VERIFICATION", "perhaps", "must be 'required' or 'off'."),
        ("GEOIP_DATABASE", "/nowhere/geo.mmdb", "must be the path of a file."),
        (
            "EGRESS_ALLOW_CIDRS",
            "10.0.0.1/8",
            "must be networks like 192.0.2.0/24: 10.0.0.1/8 has host bits set.",
        ),
        (
            "EGRESS_CONNECT_TO",
            "api.example.org:127.0.0.1",
            "must be hosts with addresses like api.example.org=192.0.2.1:8443, "
            "not 'api.example.org:127.0.0.1'.",
        ),
        (
            "DNS_NAMESERVERS",
            "resolver.example",
            "must be addresses like 192.0.2.1:53 or [2001:db8::1]:53, not 'resolver.example'.",
        ),
    ],
)
def test_invalid_value_is_rejected_with_name_and_reason(
    name: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(monkeypatch, **(GOOD | {name: text}))
    assert str(caught.value) == f"{name} {message}"


def test_all_invalid_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(monkeypatch, **(GOOD | {"REDIS_URL": "", "RATE_LIMIT": "many", "LOG_LEVEL": "loud"}))
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["REDIS_URL", "LOG_LEVEL", "RATE_LIMIT"]


def test_no_message_has_the_value_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(monkeypatch, **(GOOD | {"SECRET_KEY": "x" * 31}))
    assert "x" * 31 not in "".join(traceback.format_exception(caught.value))


def test_settings_made_in_code_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **GOOD)
    monkeypatch.setenv("RATE_LIMIT", "5 per minute")
    assert settings.replace(log_level="error").rate_limit == "100 per minute"


@pytest.mark.parametrize(
    "text", ["lmtp:///run/reports.sock", "lmtp://127.0.0.1:2424", "smtp://[::1]:2525"]
)
def test_listener_address_is_shown_as_configured(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(load(monkeypatch, **GOOD, SMTP_LISTEN=text).smtp_listen) == text
