"""The names of browsers and operating systems in User-Agent headers."""

_BROWSERS = (  # the first match counts: most of them claim to be several
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser(agent: str | None) -> str:
    """Return a name like ``Firefox on Linux`` for a User-Agent header; no part of it is copied."""
    text = agent or ""
    name = next((name for sign, name in _BROWSERS if sign in text), "A program")
    system = next((name for sign, name in _SYSTEMS if sign in text), "")
    return f"{name} on {system}" if system else name
