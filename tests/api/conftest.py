"""A client of the API; every answer that it gets is held against the OpenAPI document."""

import pytest
from flask import Flask

from tests.support.api_client import Client, make_client
from tests.support.factories import make_account


@pytest.fixture
def client(app: Flask) -> Client:
    """A client with all scopes, of an account with nothing in it."""
    return make_client(app, make_account().id)


@pytest.fixture
def stranger(app: Flask) -> Client:
    """The same of another account."""
    return make_client(app, make_account("Other").id)


@pytest.fixture
def caller(app: Flask) -> Client:
    """A client that may call more often than others."""
    return make_client(app, make_account().id, rate_limit="1000000 per minute")
