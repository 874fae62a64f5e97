"""The client address is taken from the configured number of trusted proxies."""

import pytest
from sqlalchemy.engine import Engine

from app.settings import Settings
from tests.support.factories import make_account, make_app, make_key


def status(database: Engine, settings: Settings, hops: int, forwarded: str) -> int:
    """Return the status of a request with a key that is limited to 192.0.2.7."""
    app = make_app(database, settings.replace(trusted_proxies=hops))
    _, token = make_key(make_account().id, allow_cidrs=["192.0.2.7/32"])
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": forwarded}
    return app.test_client().get("/v1/me", headers=headers).status_code


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "192.0.2.7", 401),  # no proxy is trusted, so the header is ignored
        (1, "192.0.2.7", 200),
        (1, "192.0.2.7, 203.0.113.9", 401),  # the client added the first address
        (2, "192.0.2.7, 203.0.113.9", 200),
    ],
)
def test_address_comes_from_the_last_trusted_proxy(
    database: Engine, settings: Settings, hops: int, forwarded: str, expected: int
) -> None:
    assert status(database, settings, hops, forwarded) == expected
