"""The parts of paths that name a resource."""

from flask import Flask
from werkzeug.routing import BaseConverter

# Parts of paths that are routes of their own, where others have an id or a name.
RESERVED = ("batch", "records")


class ResourceName(BaseConverter):
    """An id or a name: one part of a path, except the reserved words.

    Without the exception, ``GET /v1/alerts/batch`` would look for an alert named batch, and the
    header ``Allow`` of that path would have the methods of a single alert.
    """

    regex = rf"(?!(?:{'|'.join(RESERVED)})\Z)[^/]+"


def init_app(app: Flask) -> None:
    """Use the converter for all parameters without one; must precede the first route."""
    app.url_map.converters["default"] = ResourceName
