"""Who sends a request to a public report address: its account, an upload token, a known client."""

from flask import Flask, g, request

from app.errors import ServiceUnavailable
from app.services.api_keys import upload_tokens
from app.services.api_keys.upload_tokens import Uploader
from app.services.ingest import budgets, tokens
from app.services.ingest.tokens import Sender


def init_app(app: Flask) -> None:
    """Resolve the token of every request; must be registered before the limiter."""
    app.before_request(identify)


def identify() -> None:
    """Set ``g.sender`` to the account of the address, or None, without refusing anyone."""
    if request.blueprint != "ingest":
        return
    try:
        g.sender = tokens.resolve(str((request.view_args or {}).get("token")))
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        if g.sender is not None and scheme.lower() == "bearer":
            g.uploader = upload_tokens.authenticate(credential.strip())
        elif g.sender is not None:
            source = budgets.source_of("http", {"address": request.remote_addr})
            g.is_known_source = budgets.is_known(g.sender.account_id, source)
    except ServiceUnavailable as error:
        g.unresolved = error


def sender_or_none() -> Sender | None:
    """Return the account of the requested address, or None; for the hooks."""
    sender: Sender | None = g.get("sender")
    return sender


def uploader_or_none() -> Uploader | None:
    """Return the holder of a valid upload token of the address's account, or None."""
    sender, uploader = sender_or_none(), g.get("uploader")
    if sender is None or uploader is None or uploader.account_id != sender.account_id:
        return None
    return uploader  # type: ignore[no-any-return]


def is_known_source() -> bool:
    """Whether this client has sent an authenticated report to the account before."""
    return bool(g.get("is_known_source"))


def has_bad_token() -> bool:
    """Whether the request has an upload token that is invalid for this address."""
    return "uploader" in g and uploader_or_none() is None
