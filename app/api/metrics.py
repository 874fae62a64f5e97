"""``/metrics`` in the text format of Prometheus, for callers with METRICS_TOKEN."""

import hmac
from collections.abc import Iterator

from flask import Blueprint, Response, request

from app import settings
from app.api.http.endpoint import endpoint
from app.errors import NotFound
from app.services.operations import metrics
from app.services.operations.metrics import Gauge

bp = Blueprint("metrics", __name__)

PREFIX = "mailwatch"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@bp.get("/metrics")
@endpoint(is_public=True)
def show() -> Response:
    """Numbers for monitoring; 404 without the bearer token METRICS_TOKEN."""
    token = settings.current().metrics_token
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if token is None or not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise NotFound
    lines = (line for gauge in metrics.gauges() for line in _lines(gauge))
    return Response("".join(lines), content_type=TEXT)


def _lines(gauge: Gauge) -> Iterator[str]:
    name = f"{PREFIX}_{gauge.name}"
    yield f"# HELP {name} {gauge.help}\n# TYPE {name} gauge\n"
    for values, number in sorted(gauge.samples.items()):
        pairs = zip(gauge.labels, values, strict=True)
        labels = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in pairs)
        yield f"{name}{{{labels}}} {number:g}\n" if labels else f"{name} {number:g}\n"
