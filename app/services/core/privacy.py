"""Masked email addresses, which still distinguish two people."""


def masked(email: str) -> str:
    """Return the masked address, like ``a…@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def public_actor(actor: str) -> str:
    """Return the actor for API responses and events: an email address is masked."""
    kind, _, name = actor.partition(":")
    return f"{kind}:{masked(name)}" if kind == "user" and "@" in name else actor
