"""The dashboard: server-rendered pages for signed-in users, without files from other hosts."""

from flask import Blueprint, Flask

from app.settings import Settings
from app.web import requirements
from app.web.base import filters, notices, pages
from app.web.sign_in import login_throttle
from app.web.views import alerts, channels, keys, mailboxes, recipients, sinks, undo, weekly
from app.web.views.domains import (
    domain_bulk,
    domains,
    followed_profiles,
    overview,
    plans,
    profiles,
    shares,
)
from app.web.views.people import account, audit, auth, passwords, results, security, team
from app.web.views.reports import (
    files,
    mail,
    records,
    reporting,
    reports,
    tls_records,
    upload_tokens,
)


def init_app(app: Flask, settings: Settings) -> None:
    """Register hooks, pages and error pages, in the order in which a request meets them."""
    app.extensions["login_throttle"] = login_throttle.LoginThrottle(settings.redis_client_url)
    web = Blueprint(
        "web",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/assets",
    )
    web.before_request(requirements.require_session)
    pages.handle_errors(web)
    filters.add_to(web)
    notices.add_to(web)
    groups = (
        *(auth, passwords, overview, domains, domain_bulk, profiles, plans, shares),
        *(mail, records, tls_records, reports, files, alerts),
    )
    settings_groups = (
        keys,
        reporting,
        upload_tokens,
        mailboxes,
        channels,
        weekly,
        sinks,
        team,
        security,
        followed_profiles,
        account,
    )
    for group in (*groups, *settings_groups, recipients, audit, results, undo):
        web.register_blueprint(group.bp)
    web.register_blueprint(keys.first_page)
    web.register_blueprint(reporting.former)
    web.register_blueprint(shares.shared)
    app.register_blueprint(web)
    app.after_request(pages.set_security_headers)
