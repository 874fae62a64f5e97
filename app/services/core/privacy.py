"""Email addresses of people, reduced to what tells two people apart."""


def masked(email: str) -> str:
    """``a…@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def public_actor(actor: str) -> str:
    """The actor of an act for API answers and events: a person's address is masked."""
    kind, _, name = actor.partition(":")
    return f"{kind}:{masked(name)}" if kind == "user" and "@" in name else actor
