"""Whose address counts: the one that as many proxies as there are have seen."""

import pytest
from sqlalchemy.engine import Engine

from app.settings import Settings
from tests.support.factories import make_account, make_app, make_key


def status(database: Engine, settings: Settings, hops: int, forwarded: str) -> int:
    """What a caller gets whose key is for 192.0.2.7 alone."""
    app = make_app(database, settings.replace(trusted_proxies=hops))
    _, token = make_key(make_account().id, allow_cidrs=["192.0.2.7/32"])
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": forwarded}
    return app.test_client().get("/v1/me", headers=headers).status_code


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "192.0.2.7", 401),  # nobody is trusted: what a client says of itself is not heard
        (1, "192.0.2.7", 200),
        (1, "192.0.2.7, 203.0.113.9", 401),  # the first one is the client's own invention
        (2, "192.0.2.7, 203.0.113.9", 200),
    ],
)
def test_as_many_proxies_are_believed_as_there_are(
    database: Engine, settings: Settings, hops: int, forwarded: str, expected: int
) -> None:
    assert status(database, settings, hops, forwarded) == expected
