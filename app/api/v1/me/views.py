"""The API key of the request."""

from flask import Blueprint, Response

from app import ids
from app.api.http import rate_limit, responses
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1.me import schemas
from app.services.api_keys import usage

bp = Blueprint("me", __name__, url_prefix="/me")


@bp.get("")
@endpoint(returns=schemas.Me)
def show() -> Response:
    """Get the API key of the request."""
    caller = current()
    return responses.item(
        {
            "id": ids.public("key", caller.id),
            "prefix": f"mp_{caller.key_id}",
            "name": caller.name,
            "scopes": caller.scope_names,
            "account": {
                "id": ids.public("acc", caller.account_id),
                "name": caller.account_name,
            },
            "rateLimit": rate_limit.limit_of(caller),
            "createdAt": responses.time(caller.created_at),
            "expiresAt": responses.time(caller.expires_at),
            "usageToday": [
                {"route": route, "status": status, "count": count}
                for route, status, count in usage.today(caller.id)
            ],
        }
    )
