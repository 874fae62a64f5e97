"""The schemas of API keys."""

from datetime import datetime

from pydantic import Field

from app.api.http.endpoint import Schema
from app.models.keys import Scope


class Account(Schema):
    """The account of a key."""

    id: str = Field(description="The id of the account.")
    name: str = Field(description="The name of the account.")


class RouteUsage(Schema):
    """The number of requests to one route with one status."""

    route: str = Field(description="The method and the path.")
    status: int = Field(description="The HTTP status.")
    count: int = Field(description="The number of requests.")


class Me(Schema):
    """The API key of the request."""

    id: str = Field(description="The id of the key.")
    prefix: str = Field(description="public id of the key, which logs show")
    name: str = Field(description="The name of the key.")
    scopes: list[Scope] = Field(description="The scopes of the key.")
    account: Account = Field(description="The account of the key.")
    rate_limit: str = Field(description="The rate limit of the key.")
    created_at: datetime = Field(description="When the key was created.")
    expires_at: datetime | None = Field(description="When the key expires; null if it never does.")
    usage_today: list[RouteUsage] = Field(
        description="The requests of today (UTC) by route and status."
    )
