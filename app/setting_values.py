"""How the values of some settings are read from text."""

import re


def https_url(text: str) -> str:
    """The address of a document that is fetched by HTTPS.

    raises  ValueError
    """
    if not re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]{1,5})?/[\x21-\x7e]*", text) or "#" in text:
        raise ValueError("expected format: https://host/path")
    return text


def contacts(text: str) -> tuple[str, ...]:
    """URIs for security.txt, the preferred one first; a bare address becomes ``mailto:``.

    raises  ValueError
    """
    uris = []
    for item in (item.strip() for item in text.split(",")):
        uri = item if re.match(r"[a-z]+:", item) else f"mailto:{item}"
        is_address = re.fullmatch(r"mailto:[^@:/]+@[^@:/]+", uri)
        if not (is_address or re.match(r"https://[^/]|tel:\+[0-9]", uri)) or not _is_plain(uri):
            raise ValueError(f"'{item}' is not an email address, https:// or tel:+ URI")
        uris.append(uri)
    return tuple(uris)


def schedule(text: str) -> tuple[float, ...]:
    """Seconds before each attempt.

    raises  ValueError
    """
    items = [item.strip() for item in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", item) for item in items):
        raise ValueError("it must be numbers of seconds, comma-separated")
    return tuple(map(float, items))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
