"""Clients of the API that compare every response with the OpenAPI document."""

import pytest
from flask import Flask

from tests.support.api_client import Client, make_client
from tests.support.api_reports import with_reports
from tests.support.factories import make_account


@pytest.fixture
def client(app: Flask) -> Client:
    """A client with all scopes, of an empty account."""
    return make_client(app, make_account().id)


@pytest.fixture
def stranger(app: Flask) -> Client:
    """A client with all scopes, of another account."""
    return make_client(app, make_account("Other").id)


@pytest.fixture
def caller(app: Flask) -> Client:
    """A client with a high rate limit."""
    return make_client(app, make_account().id, rate_limit="1000000 per minute")


@pytest.fixture
def full(client: Client) -> Client:
    """A client with two aggregate reports, a TLS report, a failure report and a bad file."""
    return with_reports(client)
