"""The service: an API and a dashboard for the email security of domains."""

import sys
from typing import TYPE_CHECKING

# Here, since every process imports this package before any module that an older one cannot read.
if sys.version_info < (3, 11):  # noqa: UP036 - this is the check itself
    sys.exit("Python 3.11 or newer is required; this is Python " + sys.version.split()[0])

if TYPE_CHECKING:
    from flask import Flask

    from app.ports.network import Network
    from app.settings import Settings


def create_app(settings: "Settings", door: "Network | None" = None) -> "Flask":
    """The WSGI application, wired in the order a request meets it.

    door  where checks find their answers; the network by default
    """
    # Not above: workers import this package too, and have no use for a web framework.
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from app import api, cli, runtime, web

    runtime.start(settings, door)
    app = Flask(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_content_length,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.extensions["door"] = runtime.door()
    if hops := settings.trusted_proxies:
        proxied = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # as Flask documents it
    api.init_app(app, settings)
    web.init_app(app, settings)
    cli.init_app(app)
    return app
