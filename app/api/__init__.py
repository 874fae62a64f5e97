"""The HTTP API: authentication, rate limits, authorization, and one package per resource."""

from flask import Blueprint, Flask

from app.api import health, ingest, metrics, paths, well_known
from app.api.docs import views as docs_views
from app.api.http import auth, errors, ingest_auth, rate_limit, requests
from app.api.mcp import views as mcp_views
from app.api.v1.alerts import views
from app.api.v1.analytics import views as analytics_views
from app.api.v1.checks import views as checks_views
from app.api.v1.dns import views as dns_views
from app.api.v1.domains import views as domains_views
from app.api.v1.events import views as events_views
from app.api.v1.fixes import views as fixes_views
from app.api.v1.me import views as me_views
from app.api.v1.plans import views as plans_views
from app.api.v1.profiles import views as profiles_views
from app.api.v1.records import views as records
from app.api.v1.reports import record_views
from app.api.v1.reports import views as reports_views
from app.api.v1.scans import views as scans_views
from app.api.v1.token_leaks import views as token_leaks_views
from app.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Register hooks, routes and error handlers, in the order in which they handle a request."""
    paths.init_app(app)
    requests.init_app(app)
    auth.init_app(app)
    ingest_auth.init_app(app)
    rate_limit.init_app(app, settings)
    token_leaks_views.init_app(app, settings)
    v1 = Blueprint("v1", __name__, url_prefix="/v1")
    v1.before_request(auth.authorize)
    resources = (
        me_views,
        checks_views,
        domains_views,
        plans_views,
        profiles_views,
        dns_views,
        scans_views,
        views,
        events_views,
        fixes_views,
        reports_views,
        record_views,
        records,
        analytics_views,
        token_leaks_views,
    )
    for resource in resources:
        v1.register_blueprint(resource.bp)
    app.register_blueprint(v1)
    app.register_blueprint(mcp_views.bp)
    app.register_blueprint(ingest.bp)
    app.register_blueprint(health.bp)
    app.register_blueprint(metrics.bp)
    app.register_blueprint(well_known.bp)
    app.register_blueprint(docs_views.bp)
    errors.init_app(app)
