"""The HTTP API: who calls → how often → may they; then one module for each resource."""

from flask import Blueprint, Flask

from app.api import (
    alerts,
    analytics,
    auth,
    checks,
    dns,
    domains,
    errors,
    events,
    health,
    ingest,
    limits,
    me,
    metrics,
    records,
    reports,
    requests,
    runbooks,
    scans,
    token_leaks,
    well_known,
)
from app.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Hooks, routes and error handlers, in the order in which a request meets them."""
    requests.init_app(app)
    auth.init_app(app)
    ingest.init_app(app)
    limits.init_app(app, settings)
    token_leaks.init_app(app, settings)
    v1 = Blueprint("v1", __name__, url_prefix="/v1")
    v1.before_request(auth.authorize)
    resources = (
        me,
        checks,
        domains,
        dns,
        scans,
        alerts,
        events,
        reports,
        records,
        analytics,
        token_leaks,
    )
    for resource in resources:
        v1.register_blueprint(resource.bp)
    app.register_blueprint(v1)
    app.register_blueprint(ingest.bp)
    app.register_blueprint(health.bp)
    app.register_blueprint(metrics.bp)
    app.register_blueprint(well_known.bp)
    app.register_blueprint(runbooks.bp)  # that of openapi, with one page more
    errors.init_app(app)
