"""The key that calls."""

from flask import Blueprint, Response

from app import ids
from app.api import answers, limits, shapes
from app.api.auth import current
from app.api.contract import endpoint
from app.services import usage

bp = Blueprint("me", __name__, url_prefix="/me")


@bp.get("")
@endpoint(returns=shapes.Me)
def show() -> Response:
    """The key's name, scopes, account and limit, and its use today by route and status."""
    caller = current()
    return answers.one(
        {
            "id": ids.public("key", caller.id),
            "prefix": f"mp_{caller.key_id}",
            "name": caller.name,
            "scopes": sorted(caller.scopes),
            "account": {
                "id": ids.public("acc", caller.account_id),
                "name": caller.account_name,
            },
            "rateLimit": limits.limit_of(caller),
            "createdAt": answers.time(caller.created_at),
            "expiresAt": answers.time(caller.expires_at),
            "usageToday": [
                {"route": route, "status": status, "count": count}
                for route, status, count in usage.today(caller.id)
            ],
        }
    )
