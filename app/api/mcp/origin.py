"""The header Origin: which web pages may send requests to the MCP endpoint."""

from urllib.parse import urlsplit

from flask import Response, request

from app.api.http import errors, requests


def check() -> Response | None:
    """Refuse a request from a page of another site, whose name may resolve to this machine.

    ALLOWED_HOSTS with ``*`` allows no further page.

    source  MCP 2026-07-28 Streamable HTTP, Security & Endpoint
    """
    origin = request.headers.get("Origin")
    if origin is None or _host(origin) in requests.own_hosts():
        return None
    message = "The page in the header Origin may not use this service"
    return errors.envelope("forbidden", message, 403)


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
