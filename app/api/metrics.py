"""``/metrics`` in the text format of Prometheus, for callers with METRICS_TOKEN."""

import hmac
from collections.abc import Sequence

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from app import settings
from app.api.http.endpoint import endpoint
from app.errors import NotFound
from app.services.operations.metrics import ServiceCollector

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
@endpoint(
    is_public=True,
    token="metricsToken",
    returns_file=True,
    media_type="text/plain",
    errors=(404,),
)
def show() -> Response:
    """Get metrics for Prometheus."""
    token = settings.current().metrics_token
    authorization = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if token is None or not hmac.compare_digest(authorization, f"Bearer {token}".encode()):
        raise NotFound
    text = generate_latest(ServiceCollector(_routes()))
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _routes() -> Sequence[str]:
    """Return the routes as ``app.api.http.requests`` names them, without those for HEAD."""
    rules = current_app.url_map.iter_rules()
    return [
        f"{method} {rule.rule}"
        for rule in rules
        for method in sorted(rule.methods or ())
        if method != "HEAD"
    ]
