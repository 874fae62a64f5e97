"""The dashboard: pages made here, for people who are signed in. No script, nothing from afar."""

from flask import Blueprint, Flask

from app.settings import Settings
from app.web import alerts, auth, domains, failures, filters, keys, pages


def init_app(app: Flask, settings: Settings) -> None:
    """Hooks, pages and error pages, in the order in which a request meets them."""
    app.extensions["login_failures"] = failures.Failures(settings.redis_url)
    web = Blueprint(
        "web",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/assets",
    )
    web.before_request(pages.admit)
    pages.handle_errors(web)
    filters.add_to(web)
    for group in (auth, domains, alerts, keys):
        web.register_blueprint(group.bp)
    web.add_url_rule("/", "home", pages.home)
    app.register_blueprint(web)
    app.after_request(pages.finish)
