"""Settings, and the messages for missing and invalid ones."""

import pytest

from app.settings import BadSettings, Settings

GOOD = {
    "SECRET_KEY": "s" * 32,
    "DATABASE_URL": "postgres://user:word@db/app",
    "REDIS_URL": "redis://localhost:6379/0",
}


def test_postgres_url_of_platforms_selects_psycopg_3() -> None:
    assert Settings.from_environ(GOOD).database_url == "postgresql+psycopg://user:word@db/app"


def test_each_missing_setting_has_its_own_message() -> None:
    with pytest.raises(BadSettings) as caught:
        Settings.from_environ({})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == list(GOOD)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("127.0.0.1:5300", (("127.0.0.1", 5300),)),
        ("192.0.2.1,2001:db8::1", (("192.0.2.1", 53), ("2001:db8::1", 53))),
        ("[2001:db8::1]:5353", (("2001:db8::1", 5353),)),
    ],
)
def test_name_servers_may_have_ports(text: str, servers: tuple[tuple[str, int], ...]) -> None:
    assert Settings.from_environ({**GOOD, "DNS_NAMESERVERS": text}).dns_nameservers == servers


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://db/app"),
        ("REDIS_URL", "http://redis"),
        ("DNS_NAMESERVERS", "resolver.example"),
        ("TRUSTED_PROXIES", "-1"),
        ("RATE_LIMIT", "many"),
        ("DOMAIN_VERIFICATION", "perhaps"),
        ("EGRESS_ALLOW_CIDRS", "10.0.0.1/8"),
    ],
)
def test_invalid_value_is_rejected_with_setting_name(name: str, text: str) -> None:
    with pytest.raises(BadSettings, match=f"^{name} is not usable: "):
        Settings.from_environ({**GOOD, name: text})


@pytest.mark.parametrize(
    "text", ["lmtp:///run/reports.sock", "lmtp://127.0.0.1:2424", "smtp://[::1]:2525"]
)
def test_listener_address_is_shown_as_configured(text: str) -> None:
    assert str(Settings.from_environ({**GOOD, "SMTP_LISTEN": text}).smtp_listen) == text
