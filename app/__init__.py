"""The service: an API and a dashboard for the email security of domains."""

import sys
from typing import TYPE_CHECKING

# Every process imports this package before the modules that an older Python cannot parse.
if sys.version_info < (3, 11):  # noqa: UP036 - this is the check itself
    sys.exit("Python 3.11 or newer is required; this is Python " + sys.version.split()[0])

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.engine import Engine

    from app.ports.network import Network
    from app.settings import Settings


def create_app(
    settings: "Settings", network: "Network | None" = None, database: "Engine | None" = None
) -> "Flask":
    """Return the WSGI application, wired in the order in which a request meets its parts.

    network   the network access of checks; the real network by default
    database  the engine of the database; by default a new one
    """
    # Imported here, because workers import this package and need no web framework.
    from werkzeug.middleware.proxy_fix import ProxyFix

    from app import api, cli, runtime, web
    from app.api.application import Application
    from app.services.core import profiles

    runtime.start(settings, network, database)
    profiles.load(settings.profiles_file)  # raises InvalidSettings before the first request
    app = Application(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_content_length,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.extensions["network"] = runtime.network()
    if hops := settings.trusted_proxies:
        proxied = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # as Flask documents it
    api.init_app(app, settings)
    web.init_app(app, settings)
    cli.init_app(app)
    return app
